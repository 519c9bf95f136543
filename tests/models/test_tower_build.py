"""Every kind of open_clip architecture works or is refused with the reason; weights and sizes."""

import copy
import json

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file

from cloc.errors import UserError
from cloc.models.tower_build import make_tower, resolve_config
from tests.helpers.models import CONFIGS, CONTEXT, EVA, NATIVE, random_pixels

PROJECTS, POOLS_BY_ATTENTION = True, False  # whether a single patch has an embedding of its own
WORKS = [  # name, (rows, columns), width, embedding, short texts exact, patches projected
    ("ViT-B-32", (7, 7), 768, 512, True, PROJECTS),
    ("ViT-B-16-quickgelu", (14, 14), 768, 512, True, PROJECTS),
    ("ViT-L-14-336", (24, 24), 1024, 768, True, PROJECTS),
    ("ViT-H-14", (16, 16), 1280, 1024, True, PROJECTS),
    ("ViT-L-14-CLIPA", (16, 16), 1024, 768, False, PROJECTS),
    ("ViT-H-14-worldwide", (16, 16), 1280, 1024, True, PROJECTS),
    ("ViT-B-16-SigLIP", (14, 14), 768, 768, False, POOLS_BY_ATTENTION),
    ("ViT-B-16-SigLIP2-256", (16, 16), 768, 768, False, POOLS_BY_ATTENTION),
    ("EVA02-B-16", (14, 14), 768, 512, True, PROJECTS),
    ("MobileCLIP-B", (14, 14), 768, 512, True, PROJECTS),
    ("PE-Core-T-16-384", (24, 24), 192, 512, True, POOLS_BY_ATTENTION),
    ("vit_medium_patch16_gap_256", (16, 16), 512, 512, True, PROJECTS),
    ("vit_relpos_medium_patch16_cls_224", (14, 14), 512, 512, True, PROJECTS),
    ("RN50", (7, 7), 2048, 1024, True, POOLS_BY_ATTENTION),
    ("convnext_base_w_320", (10, 10), 1024, 640, True, PROJECTS),
    ("swin_base_patch4_window7_224", (7, 7), 1024, 640, True, PROJECTS),
    ("MobileCLIP-S1", (8, 8), 1024, 512, False, PROJECTS),
    ("ViTamin-S", (14, 14), 384, 384, True, PROJECTS),
]
REFUSED = [
    ("coca_ViT-B-32", r"CoCa towers end in an attentional pooler.* choose a plain ViT"),
]


@pytest.mark.parametrize(("name", "grid", "width", "dim", "short", "projects"), WORKS)
def test_works(name, grid, width, dim, short, projects):
    with torch.device("meta"):  # shapes only, so a model of 1B weights costs nothing
        tower = make_tower(name)
        pixels = torch.empty(2, 3, tower.image_size, tower.image_size, dtype=torch.uint8)
        texts = torch.zeros(3, tower.context_length, dtype=torch.long)
    assert (tower.grid, tower.width, tower.dim) == (grid, width, dim)
    assert tower.short_text_exact is short
    tokens, pooled, _ = tower.images(pixels)
    assert tokens.shape == (2, grid[0] * grid[1], width)
    assert pooled.shape == (2, dim)
    assert tower.texts(texts).shape == (3, dim)
    if projects:
        assert tower.dense(tokens).shape == (2, grid[0] * grid[1], dim)
    else:
        with pytest.raises(UserError, match="pools by attention"):
            tower.dense(tokens)


@pytest.mark.parametrize(("name", "reason"), REFUSED)
def test_is_refused_with_the_reason(name, reason):
    with torch.device("meta"), pytest.raises(UserError, match=reason) as error:
        make_tower(name)
    assert "\n" not in str(error.value)


def changed(config, **vision):
    return {**config, "vision_cfg": {**config["vision_cfg"], **vision}}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (changed(NATIVE, image_size=(32, 64)), r"takes 32x64 pixels; only square"),
        (
            changed(NATIVE, patch_dropout=0.5),
            r"dropout does not say .* set patch_dropout .of the",
        ),
        (changed(EVA, patch_dropout=0.5), r"patch dropout does not say"),
        (changed(NATIVE, attentional_pool=True), r"CoCa towers end in an attentional pooler"),
        (changed(NATIVE, pach_size=8), r"cannot build model\.tower\.config: .*pach_size"),
        (
            changed(EVA, timm_model_name="vit_none"),
            r"cannot build .*vit_none",
        ),
        ({"embed_dim": 8}, r"config lacks vision_cfg, text_cfg; it is an open_clip model"),
        ("ViT-B-33", r"open_clip has no model 'ViT-B-33'; near it: ViT-B-16"),
        ("zzz", r"open_clip has no model 'zzz'; near it: none"),
        ("local-dir:nowhere", r"nowhere/open_clip_config\.json does not exist; a local-dir: model"),
    ],
)
def test_what_cannot_be_built_is_named_in_one_line(config, reason):
    with torch.device("meta"), pytest.raises(UserError, match=reason) as error:
        make_tower(config)
    assert "\n" not in str(error.value)


@torch.no_grad()
@pytest.mark.parametrize("kind", CONFIGS)
def test_image_size_and_context_length_replace_the_configured_ones(kind):
    """A timm trunk, too, which open_clip leaves at the size in its name."""
    tower = make_tower(CONFIGS[kind], image_size=64, context_length=9)
    side = 4 if hasattr(tower.clip.visual, "trunk") else 8
    assert (tower.image_size, tower.grid, tower.context_length) == (64, (side, side), 9)
    assert tower.images(random_pixels(0, 1, size=64)).tokens.shape[1] == side * side
    assert tower.texts(tower.tokenizer()(["a star"], 9)).shape == (1, tower.dim)
    assert tower.model_config["vision_cfg"]["image_size"] == 64
    assert tower.model_config["text_cfg"]["context_length"] == 9
    assert CONFIGS[kind]["vision_cfg"]["image_size"] == 32  # the caller's stays


def test_a_trunk_that_cannot_be_resized_says_its_size():
    config = changed(EVA, timm_model_name="cait_xxs24_224")
    with torch.device("meta"), pytest.raises(UserError, match=r"Cait is fixed at 224 .*=224"):
        make_tower(config)


def test_mean_and_std_are_the_given_ones_else_clips():
    tower = make_tower(NATIVE, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5))
    assert tower.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert tower.std.flatten().tolist() == pytest.approx([0.5] * 3)
    clip = make_tower(NATIVE)
    assert clip.mean.flatten().tolist() == pytest.approx(open_clip.OPENAI_DATASET_MEAN)
    assert clip.std.flatten().tolist() == pytest.approx(open_clip.OPENAI_DATASET_STD)


def test_a_configuration_is_copied_to_the_bottom():
    given = changed(NATIVE, norm_kwargs={"eps": 1e-6})
    resolved = resolve_config(given)
    resolved["vision_cfg"]["norm_kwargs"]["eps"] = 1
    assert given == changed(NATIVE, norm_kwargs={"eps": 1e-6})
    assert resolve_config("ViT-B-32") == open_clip.get_model_config("ViT-B-32")


@pytest.fixture
def tiny(monkeypatch):
    """open_clip knows a small architecture by name."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", copy.deepcopy(NATIVE))
    return "tiny"


@torch.no_grad()
def same_embeddings(a, b):
    pixels, tokens = random_pixels(0, 2), a.tokenizer()(["a red star"], CONTEXT)
    return a.images(pixels).pooled.equal(b.images(pixels).pooled) and a.texts(tokens).equal(
        b.texts(tokens)
    )


def test_pretrained_weights_come_from_a_file_or_a_folder(tiny, tmp_path):
    source = make_tower(NATIVE)
    save_file(source.clip.state_dict(), tmp_path / "open_clip_model.safetensors")
    path = str(tmp_path / "open_clip_model.safetensors")
    assert same_embeddings(make_tower(tiny, pretrained=path), source)
    assert not same_embeddings(make_tower(tiny), source)

    preprocess = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}
    config = tmp_path / "open_clip_config.json"
    config.write_text(json.dumps({"model_cfg": NATIVE, "preprocess_cfg": preprocess}))
    loaded = make_tower(f"local-dir:{tmp_path}")
    assert loaded.mean.flatten().tolist() == pytest.approx(preprocess["mean"])
    assert loaded.std.flatten().tolist() == pytest.approx(preprocess["std"])
    assert loaded.folder == tmp_path
    at_ours = make_tower(
        f"local-dir:{tmp_path}", mean=source.mean.flatten().tolist(), std=(0.2,) * 3
    )
    assert at_ours.mean.flatten().tolist() == source.mean.flatten().tolist()
    assert torch.equal(loaded.clip.visual.proj, source.clip.visual.proj)


def test_a_tag_trained_with_quick_gelu_gets_it(tiny, tmp_path, monkeypatch):
    save_file(make_tower(NATIVE).clip.state_dict(), tmp_path / "w.safetensors")
    weights = str(tmp_path / "w.safetensors")
    plain = make_tower(tiny, pretrained=weights)
    assert not any(isinstance(m, QuickGELU) for m in plain.clip.modules())
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_: {"quick_gelu": True})
    quick = make_tower(tiny, pretrained=weights)
    assert sum(isinstance(m, QuickGELU) for m in quick.clip.modules()) == 4
    assert quick.model_config["quick_gelu"] is True  # so a run folder and an export know it


def test_a_hub_repository_brings_its_weights(monkeypatch):
    asked = {}

    def create_model(name, **options):
        asked.update(options, name=name)
        return open_clip.CLIP(**copy.deepcopy(NATIVE))

    monkeypatch.setattr(open_clip, "get_model_config", lambda name: NATIVE)
    monkeypatch.setattr(open_clip, "create_model", create_model)
    make_tower("hf-hub:somebody/model")
    assert asked["name"] == "hf-hub:somebody/model"
    assert asked["require_pretrained"]


def test_weights_that_are_not_there_or_do_not_fit_are_named(tiny, tmp_path):
    with pytest.raises(UserError, match=r"cannot load tiny with pretrained=none-such: .*none-such"):
        make_tower(tiny, pretrained="none-such")
    with pytest.raises(UserError, match=r"pretrained=tag goes with an open_clip name"):
        make_tower(NATIVE, pretrained="tag")

    config = tmp_path / "open_clip_config.json"
    config.write_text("{}")
    with pytest.raises(
        UserError, match=r"open_clip_config\.json is not an open_clip configuration"
    ):
        make_tower(f"local-dir:{tmp_path}")
    config.write_text(json.dumps({"model_cfg": NATIVE}))
    with pytest.raises(UserError, match=r"pretrained=tag goes with an open_clip name"):
        make_tower(f"local-dir:{tmp_path}", pretrained="tag")
    with pytest.raises(UserError, match=r"cannot load local-dir:.*could not be loaded"):
        make_tower(f"local-dir:{tmp_path}")  # open_clip would go on with random weights
    weights = tmp_path / "open_clip_model.safetensors"
    save_file(make_tower(changed(NATIVE, width=16)).clip.state_dict(), weights)
    with pytest.raises(UserError, match=r"cannot load local-dir:.*size mismatch") as error:
        make_tower(f"local-dir:{tmp_path}")
    assert "\n" not in str(error.value)
    weights.write_bytes(b"not a weight file")
    with pytest.raises(UserError, match=r"cannot load local-dir:"):
        make_tower(f"local-dir:{tmp_path}")
