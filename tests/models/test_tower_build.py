"""Every kind of open_clip architecture works or is refused with the reason; weights and sizes."""

import open_clip
import pytest
import torch

from cloc.errors import UserError
from cloc.models.tower_build import make_tower
from tests.helpers.models import CONFIGS, EVA, NATIVE, random_pixels


def rare(*row):
    """`python -m tests.faults architectures` builds all of open_clip's."""
    return pytest.param(*row, marks=pytest.mark.rare)


PROJECTS, POOLS_BY_ATTENTION = True, False  # whether a single patch has an embedding of its own
WORKS = [  # name, (rows, columns), width, embedding, short texts exact, patches projected
    ("ViT-B-32", (7, 7), 768, 512, True, PROJECTS),
    ("ViT-B-16-quickgelu", (14, 14), 768, 512, True, PROJECTS),
    ("ViT-L-14-336", (24, 24), 1024, 768, True, PROJECTS),
    rare("ViT-H-14", (16, 16), 1280, 1024, True, PROJECTS),
    rare("ViT-L-14-CLIPA", (16, 16), 1024, 768, False, PROJECTS),
    rare("ViT-H-14-worldwide", (16, 16), 1280, 1024, True, PROJECTS),
    ("ViT-B-16-SigLIP", (14, 14), 768, 768, False, POOLS_BY_ATTENTION),
    ("ViT-B-16-SigLIP2-256", (16, 16), 768, 768, False, POOLS_BY_ATTENTION),
    ("EVA02-B-16", (14, 14), 768, 512, True, PROJECTS),
    ("MobileCLIP-B", (14, 14), 768, 512, True, PROJECTS),
    ("PE-Core-T-16-384", (24, 24), 192, 512, True, POOLS_BY_ATTENTION),
    ("vit_medium_patch16_gap_256", (16, 16), 512, 512, True, PROJECTS),
    rare("vit_relpos_medium_patch16_cls_224", (14, 14), 512, 512, True, PROJECTS),
    ("RN50", (7, 7), 2048, 1024, True, POOLS_BY_ATTENTION),
    rare("convnext_base_w_320", (10, 10), 1024, 640, True, PROJECTS),
    rare("swin_base_patch4_window7_224", (7, 7), 1024, 640, True, PROJECTS),
    rare("MobileCLIP-S1", (8, 8), 1024, 512, False, PROJECTS),
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
    tokens, pooled, *_ = tower.images(pixels)
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
        (
            changed(NATIVE, patch_dropout=0.5),
            r"dropout does not say .* set patch_dropout .of the",
        ),
        (changed(EVA, patch_dropout=0.5), r"patch dropout does not say"),
        (changed(NATIVE, attentional_pool=True), r"CoCa towers end in an attentional pooler"),
        (changed(NATIVE, pool_type="none"), r"pool_type: none gives .* none for the picture; set"),
        (changed(NATIVE, patch_size=[16, 8]), r"patch_size: patches of 16x8 pixels; give square"),
        (changed(NATIVE, pach_size=8), r"cannot build model\.tower\.config: .*pach_size"),
        (
            changed(EVA, timm_model_name="vit_none"),
            r"cannot build .*vit_none",
        ),
        ({"embed_dim": 8}, r"config lacks vision_cfg, text_cfg; it is an open_clip model"),
        (
            "ViT-B-33",
            r"model.tower.config=ViT-B-33: open_clip has no model 'ViT-B-33'; near it: ViT-B-16",
        ),
        ("zzz", r"model.tower.config=zzz: open_clip has no model 'zzz'; near it: none"),
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


@pytest.mark.parametrize("size", [7, 50])
def test_a_size_that_makes_no_whole_patches_is_refused_when_it_is_built(size):
    with pytest.raises(UserError, match=rf"divides an image by 8, but it has {size}x{size} pixels"):
        make_tower(CONFIGS["native"], image_size=size)


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


@pytest.mark.parametrize("options", [{}, {"config": NATIVE, "start": "run:runs/x"}])
def test_there_is_one_beginning(options):
    says = r"give model\.tower\.config for random weights or start=.*, not (both|neither)"
    with pytest.raises(UserError, match=says):
        make_tower(**options)
