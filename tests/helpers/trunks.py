"""timm's trunks that have positions of their own, two blocks of each, under names of ours."""

import timm
from timm.models import register_model

from tests.helpers.models import TEXT

# ours: timm's, how it pools
FAMILIES = {
    "rope": ("vit_small_patch16_rope_224", "avg"),
    "rope_mixed": ("vit_small_patch16_rope_mixed_224", "avg"),
    "rope_ape": ("vit_small_patch16_rope_ape_224", "avg"),
    "relpos": ("vit_relpos_small_patch16_224", "avg"),
    "relpos_cls": ("vit_relpos_medium_patch16_cls_224", "token"),
    "srelpos": ("vit_srelpos_small_patch16_224", "avg"),
    "eva02": ("eva02_tiny_patch14_224", "token"),
    "dinov3": ("vit_small_patch16_dinov3", "avg"),
    "pe_core": ("vit_pe_core_tiny_patch16_384", "map"),
    "pe_spatial": ("vit_pe_spatial_tiny_patch16_512", "avg"),
    "naflex": ("naflexvit_base_patch16_gap", "avg"),
    "naflex_map": ("naflexvit_base_patch16_map", "map"),
    "naflex_axial": ("naflexvit_base_patch16_gap", "avg"),
    "naflex_mrope": ("naflexvit_base_patch16_gap", "avg"),
}
SMALL = {"embed_dim": 64, "depth": 2, "num_heads": 2}
OWN = {
    "naflex_axial": {"rope_type": "axial", "pos_embed": "none"},
    "naflex_mrope": {
        "rope_type": "mrope",
        "rope_mrope_section": (4, 6, 6),
        "pos_embed": "none",
    },
}


def named(family):
    """The name that timm knows it by from here on."""
    name = f"tiny_{family}"
    if not timm.is_model(name):
        theirs = timm.models.model_entrypoint(FAMILIES[family][0])

        def make(pretrained=False, **given):
            trunk = theirs(pretrained=pretrained, **{**given, **SMALL, **OWN.get(family, {})})
            trunk.pretrained_cfg = {**trunk.pretrained_cfg, "architecture": name}
            return trunk

        make.__name__, make.__module__ = name, theirs.__module__
        register_model(make)
    return name


def sides_of(family):
    """Pixels of three by two patches."""
    side = 14 if "patch14" in FAMILIES[family][0] else 16
    return [3 * side, 2 * side]


def config_of(family, **vision):
    """Of a tower around it, not square."""
    given = {"timm_pool": FAMILIES[family][1], "timm_proj": "linear", **vision}
    size = {"image_size": sides_of(family)}
    return {
        "embed_dim": 24,
        "vision_cfg": {"timm_model_name": named(family), **size, **given},
        "text_cfg": {**TEXT, "layers": 1},
    }
