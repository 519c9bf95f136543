"""What every weight of published architectures is, at their own sizes, against lists by hand."""

import re
import warnings

import pytest
import timm
import torch
from open_clip.hf_model import HFTextEncoder
from torch import nn

from cloc.models.build import build_model
from cloc.training.optim import parameter_groups
from cloc.training.roles import SCALE, TABLE, roles
from tests.helpers.models import NATIVE, make_model

PARTS = {"region_head": {"kind": "prompter"}, "region_scale": {}, "box_head": {}}
# by hand, as regular expressions over whole names; {v} and {t} stand for the towers
EXPECTED = {
    "input": [
        r"{t}\.token_embedding\.weight",
        r"{v}\.conv1\.weight",
        r"{v}\.trunk\.patch_embed\.proj\.weight",
    ],
    "output": [
        r"{v}\.proj",
        r"{v}\.head\.proj\.weight",
        r"{v}\.trunk\.head\.weight",
        r"{t}\.text_projection(\.weight)?",
        r"region_head\.project\.weight",
        r"box_head\.mlp\.2\.weight",
    ],
    "table": [
        r"({t}|{v})\.positional_embedding",
        r"{v}\.trunk\.(pos_embed|cls_token|attn_pool\.latent)",
        r"{v}\.trunk\.layers\.\d\.blocks\.\d+\.attn\.relative_position_bias_table",
        r"region_head\.corners",
    ],
    "matrix": [
        r"({t}|{v})\.transformer\.resblocks\.\d+\.attn\.(in_proj_weight|out_proj\.weight)",
        r"({t}|{v})\.transformer\.resblocks\.\d+\.mlp\.c_(fc|proj)\.weight",
        r"{v}\.trunk\.blocks\.\d+\.attn\.(qkv|proj|[qkv]_proj)\.weight",
        r"{v}\.trunk\.blocks\.\d+\.mlp\.fc\d(_[gx])?\.weight",
        r"{v}\.trunk\.attn_pool\.(q|kv|proj|mlp\.fc\d)\.weight",
        r"{v}\.trunk\.layers\.\d\.(downsample\.reduction|blocks\.\d+\.(attn|mlp)\.\w+)\.weight",
        r"region_head\.(join|adapt|query_key_value|attend_out|mlp\.[02])\.weight",
        r"box_head\.mlp\.0\.weight",
    ],
}


def named(model):
    """{role: names} of what has two axes or more; the rest are scales."""
    found = {}
    axes = {name: parameter.ndim for name, parameter in model.named_parameters()}
    for name, role in roles(model).items():
        assert role == "scale" or axes[name] > 1, name
        found.setdefault(role, set()).add(name)
    return found


def by_hand(names, role):
    text, visual = r"tower\.clip(\.text)?", r"tower\.clip\.visual"
    patterns = [p.replace("{t}", text).replace("{v}", visual) for p in EXPECTED[role]]
    return {name for name in names if any(re.fullmatch(p, name) for p in patterns)}


@pytest.mark.parametrize(
    "config",
    [
        *("ViT-B-16", "ViT-L-14", "ViT-B-16-SigLIP", "EVA02-B-16", "PE-Core-B-16"),
        *("vit_medium_patch16_gap_256", "swin_base_patch4_window7_224"),
    ],
)
def test_every_weight_is_what_it_is_called(config):
    with torch.device("meta"):
        model = build_model({"config": config}, **PARTS)
    found = named(model)
    names = {n for n, p in model.named_parameters() if p.ndim > 1}
    for role in EXPECTED:
        assert found[role] == by_hand(names, role), role
    assert set(found) == {*EXPECTED, "scale"}
    sizes = dict(model.named_parameters())
    tokens = next(name for name in found["input"] if "token_embedding" in name)
    assert max(sizes[tokens].shape) > 30_000
    decayed = {id(p) for group in parameter_groups(model)[:2] for p in group["params"]}
    for name in found["table"] | found["scale"]:
        assert id(sizes[name]) not in decayed, name


def test_filters_gains_and_the_first_convolution_of_a_hybrid_are_no_matrices():
    with torch.device("meta"):
        found = named(build_model({"config": "MobileCLIP2-S2"}))
        convnext = named(build_model({"config": "convnext_base_w"}))
        resnet = named(build_model({"config": "RN50"}))
    trunk = "tower.clip.visual.trunk."
    assert f"{trunk}stem.0.conv_kxk.0.conv.weight" in found["input"]
    assert f"{trunk}stages.0.blocks.0.mlp.conv.conv.weight" in found["filter"]
    assert not [name for name in found["matrix"] if "gamma" in name or ".conv.conv." in name]
    assert f"{trunk}stages.0.blocks.0.conv_dw.weight" in convnext["filter"]
    assert f"{trunk}stages.0.blocks.0.mlp.fc1.weight" in convnext["matrix"]
    assert "tower.clip.visual.conv1.weight" in resnet["input"]
    assert "tower.clip.visual.layer1.0.conv2.weight" in resnet["matrix"]
    assert "tower.clip.visual.attnpool.c_proj.weight" in resnet["output"]
    assert "tower.clip.visual.attnpool.positional_embedding" in resnet["table"]


def hugging_face(kind):
    """Of Hugging Face's text towers, as open_clip holds them, at a small depth and true widths."""
    from transformers import BertConfig, M2M100Config, MT5Config, XLMRobertaConfig

    small = {"num_hidden_layers": 1, "num_layers": 1, "encoder_layers": 1, "decoder_layers": 1}
    make, given = {
        "bert": (BertConfig, {}),
        "xlm-roberta": (XLMRobertaConfig, {"vocab_size": 250002}),
        "mt5": (MT5Config, {}),
        "m2m_100": (M2M100Config, {}),
    }[kind]
    encoder = HFTextEncoder("", 512, config=make(**small, **given), proj_type="mlp")
    holder = nn.Module()
    holder.tower = nn.Module()
    holder.tower.clip = nn.Module()
    holder.tower.clip.text = encoder
    return holder


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "mt5", "m2m_100"])
def test_text_towers_of_hugging_face(kind):
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = named(hugging_face(kind))
    assert found["output"] == {f"tower.clip.text.proj.{n}.weight" for n in (0, 2)}
    words = ("word_embeddings.weight", "embed_tokens.weight", "shared.weight")
    assert found["input"]
    assert all(name.endswith(words) for name in found["input"])
    tables = ("position_embeddings.weight", "token_type_embeddings.weight")
    assert all(
        n.endswith((*tables, "relative_attention_bias.weight")) for n in found.get("table", ())
    )
    assert ("table" in found) == (kind != "m2m_100")  # whose positions are sinusoids
    assert not [n for n in found["matrix"] if "embed" in n or "relative" in n]


def test_lora_is_made_of_matrices():
    lora = {"rank": 2, "alpha": 4, "targets": ["mlp.c_fc"]}
    model = make_model(region_head=None, lora=lora)
    found = roles(model)
    of = {found[name] for name, p in model.named_parameters() if "lora_" in name}
    assert of == {"matrix"}


@pytest.mark.parametrize(
    ("trunk", "role", "names"),
    [
        ("tresnet_m", "input", {"body.conv1.conv"}),
        ("csatv2", "input", {"stem_dct.conv_y", "stem_dct.conv_cb", "stem_dct.conv_cr"}),
        ("convit_tiny", "table", {f"blocks.{n}.attn.pos_proj" for n in range(10)}),
        ("edgenext_small", "table", {"stages.1.blocks.2.pos_embd.token_projection"}),
        ("lambda_resnet26t", "table", {"stages.2.1.self_attn.conv_lambda"}),
    ],
)
def test_first_layers_and_positions_of_timm_under_names_of_their_own(trunk, role, names):
    holder = nn.Module()
    holder.tower = nn.Module()
    with torch.device("meta"):
        holder.tower.trunk = timm.create_model(trunk, num_classes=0)
    found = named(holder)
    wanted = {f"tower.trunk.{name}.weight" for name in names}
    assert wanted <= found[role]
    assert not [n for n in found["matrix"] if "pos_" in n or "lambda" in n or "dct" in n]


@pytest.mark.parametrize("relative", ["irpe", "shaw", "swin", "swin_v2"])
def test_what_our_own_encodings_of_position_learn_is_no_matrix_and_has_no_decay(relative):
    rotary = {"kind": "mixed", "zero_start": True}
    model = build_model({"config": NATIVE, "positions": {"relative": relative, "rotary": rotary}})
    own = {n: r for n, r in roles(model).items() if ".relative." in n or ".rotary." in n}
    assert own
    assert set(own.values()) <= {TABLE, SCALE}
    gates = {r for n, r in roles(model).items() if n.endswith(".attn.gate")}
    assert gates == {SCALE}
