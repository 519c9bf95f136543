"""transformers' configurations in open_clip's words."""

import open_clip
import pytest

from cloc.errors import UserError
from cloc.transformers_layout.read_config import DEFAULTS, open_clip_config, parts
from tests.helpers.hf import TEXT_CONFIG, VISION_CONFIG

CLIP = {"model_type": "clip", "text_config": TEXT_CONFIG, "vision_config": VISION_CONFIG}
SIGLIP = {
    "model_type": "siglip",
    "text_config": {**TEXT_CONFIG, "projection_size": 32},
    "vision_config": VISION_CONFIG,
}


def changed(config, part, **change):
    return {**config, part: {**config[part], **change}}


def test_what_a_file_leaves_out_is_transformers_own_default():
    from transformers import CLIPConfig, SiglipConfig

    for cls in (CLIPConfig, SiglipConfig):
        theirs = cls().to_dict()
        kind = theirs["model_type"]
        for ours, part in zip(DEFAULTS[kind], ("text_config", "vision_config"), strict=True):
            # transformers 5.0 does not write vision_use_head, whose default is the same there
            assert ours == {key: theirs[part].get(key, True) for key in ours}
    assert open_clip_config({"model_type": "clip"})["embed_dim"] == CLIPConfig().projection_dim


def test_transformers_default_clip_is_open_clips_vit_b_32():
    ours = open_clip_config({"model_type": "clip"})
    assert ours.pop("embed_dim") == 512
    assert ours["vision_cfg"].pop("head_width") == 64  # open_clip's default
    theirs = open_clip.get_model_config("ViT-B-32-quickgelu")
    assert theirs.pop("embed_dim") == 512
    assert ours == theirs


def test_siglip_2_is_open_clips_own_configuration():
    theirs = open_clip.get_model_config("ViT-B-32-SigLIP2-256")
    for key in ("hf_tokenizer_name", "tokenizer_kwargs"):  # not in config.json
        del theirs["text_cfg"][key]
    text, vision = {"vocab_size": 256000}, {"patch_size": 32, "image_size": 256}
    config = {"model_type": "siglip", "text_config": text, "vision_config": vision}
    assert open_clip_config(config) == theirs


def test_the_twin_of_a_part_in_files_of_2022_goes_first():
    config = {**CLIP, "text_config_dict": {"hidden_size": 64}, "vision_config_dict": None}
    text, vision = parts(config)
    assert text == {**DEFAULTS["clip"][0], "hidden_size": 64}
    assert vision["hidden_size"] == 32


@pytest.mark.parametrize(
    ("end", "vocabulary", "pool"),
    [
        (2, 49408, {}),  # transformers pools the highest id then, as open_clip's argmax
        (49407, 49408, {}),  # the highest id there is
        (49407, 49500, {"pool_type": "eos", "eos_id": 49407}),
        (7, 49408, {"pool_type": "eos", "eos_id": 7}),
    ],
)
def test_where_the_text_is_pooled(end, vocabulary, pool):
    config = changed(CLIP, "text_config", eos_token_id=end, vocab_size=vocabulary)
    text = open_clip_config(config)["text_cfg"]
    assert {k: v for k, v in text.items() if k in ("pool_type", "eos_id")} == pool


@pytest.mark.parametrize(
    ("width", "inner"), [(1152, 4304), (1664, 8192), (16, 48), (32, 81), (7, 13)]
)
def test_the_inner_width_comes_out_exactly(width, inner):
    sizes = {"hidden_size": width, "intermediate_size": inner, "num_attention_heads": 1}
    text = open_clip_config(changed(CLIP, "text_config", **sizes))["text_cfg"]
    assert int(width * text["mlp_ratio"]) == inner
    if width == 1152:
        assert text["mlp_ratio"] == 3.7362  # open_clip's own


def test_what_the_blocks_are_made_of():
    gelu = {"hidden_act": "gelu", "layer_norm_eps": 1e-6}
    config = changed(changed(CLIP, "text_config", **gelu), "vision_config", hidden_act="gelu")
    found = open_clip_config(config)
    assert "quick_gelu" not in found
    assert found["text_cfg"]["norm_kwargs"] == {"eps": 1e-6}
    assert "norm_kwargs" not in found["vision_cfg"]
    assert "act_kwargs" not in found["vision_cfg"]
    assert open_clip_config(CLIP)["quick_gelu"] is True
    tanh = changed(config, "vision_config", hidden_act="gelu_pytorch_tanh")
    assert open_clip_config(tanh)["vision_cfg"]["act_kwargs"] == {"approximate": "tanh"}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "bert"}, "model_type='bert'; only clip and siglip are known"),
        (changed(CLIP, "text_config", hidden_act="gelu"), "gelu and quick_gelu; open_clip has"),
        (
            changed(SIGLIP, "text_config", hidden_act="relu"),
            "hidden_act='relu'; open_clip has gelu",
        ),
        (changed(CLIP, "vision_config", image_size=[32, 48]), "only a single number is known"),
        (changed(CLIP, "vision_config", num_channels=4), "num_channels=4; pictures have 3"),
        (changed(CLIP, "text_config", eos_token_id=None), "eos_token_id=None; a text's embedding"),
        (changed(SIGLIP, "vision_config", vision_use_head=False), "without its pooling head"),
        (changed(SIGLIP, "text_config", projection_size=16), r"32 numbers .*, a text's 16"),
    ],
)
def test_what_open_clip_cannot_express_is_refused_with_the_reason(config, words):
    with pytest.raises(UserError, match=words):
        open_clip_config(config)
