"""What cannot be is one line, and nothing has been built."""

import pytest

from cloc.errors import UserError
from cloc.models import tower_build
from cloc.models.positions.encodings import make_positions
from cloc.models.positions.refusals import CUSTOM, refuse_positions
from cloc.models.tower_build import make_tower
from tests.helpers.models import CONVOLUTIONAL, EVA, NATIVE

TRUNK = EVA["vision_cfg"]
RESNET = {"layers": [1, 1, 1, 1]}
CONVNEXT = CONVOLUTIONAL["convnext"]["vision_cfg"]
IMPOSSIBLE = [
    ({"rotary": "axial"}, TRUNK, r"positions\.rotary is for open_clip's own .*vit_\*_rope_\*"),
    ({"relative": "irpe"}, TRUNK, r"positions\.relative is for open_clip's"),
    ({"absolute": {"kind": "none"}}, TRUNK, r"positions\.absolute is for open_clip's"),
    ({"rotary": "mixed"}, CONVNEXT, r"positions\.rotary is for open_clip's"),
    ({"relative": "irpe"}, RESNET, r"positions\.relative is for open_clip's .* a ResNet none"),
    ({"rotary": "axial"}, {"head_width": 6}, "in groups of 4, but a head has 6; set vision_cfg"),
    ({"rotary": "mixed"}, {"head_width": 10}, "in groups of 4, but a head has 10"),
    ({"rotary": "dinov3"}, {"head_width": 10}, "in groups of 4, but a head has 10"),
    ({"rotary": "mrope"}, {"head_width": 7}, "in groups of 2, but a head has 7"),
    ({"rotary": "flattened"}, {"head_width": 7}, "in groups of 2, but a head has 7"),
    ({"absolute": {"kind": "sincos"}}, {"width": 30}, "a multiple of 4, not 30"),
    (
        {"rotary": {"kind": "mrope", "sections": [8, 12, 13]}},
        {},
        r"sections=\[8, 12, 13\] .* whose sum is the 32 pairs of channels of a head",
    ),
    (
        {"rotary": {"kind": "mrope", "layout": "head_wise", "sections": [8, 12, 12]}},
        {"width": 768},
        "whose sum is the 12 heads",
    ),
    ({"rotary": {"kind": "dinov3", "jitter": 0.5}}, {}, "jitter=0.5 of .*rotary: a factor in"),
    ({"relative": {"kind": "irpe", "on": "kx"}}, {}, "on=kx of .*relative; give k, q, v"),
    ({"relative": {"kind": "irpe", "ratio": 0.5}}, {}, "ratio=0.5 of .*relative; give 1 or more"),
]


@pytest.mark.parametrize(("given", "vision", "says"), IMPOSSIBLE)
def test_an_impossible_combination_is_one_line_before_anything_is_built(
    given, vision, says, monkeypatch
):
    built = []
    monkeypatch.setattr(tower_build, "_from_config", built.append)
    whole = NATIVE["vision_cfg"] if vision is not RESNET else {"image_size": 64, "patch_size": None}
    whole = vision if "timm_model_name" in vision else {**whole, "head_width": 64, **vision}
    with pytest.raises(UserError, match=says) as error:
        make_tower({**NATIVE, "vision_cfg": whole} if vision else NAMED, positions=given)
    assert "\n" not in str(error.value)
    assert not built


NAMED = "ViT-B-16"  # heads of 64 channels


@pytest.mark.parametrize("key", CUSTOM)
def test_blocks_that_are_not_plain_are_refused_by_their_key(key):
    """Whatever makes open_clip choose others."""
    vision = {key: "custom" if key == "block_type" else True}
    with pytest.raises(UserError, match=f"plain blocks, but vision_cfg has {key}="):
        refuse_positions(made({"rotary": "axial"}), vision)
    refuse_positions(made({"rotary": "axial"}), {"block_type": "default", "qk_norm": False})
    refuse_positions(made({"absolute": "none"}), vision)


def made(options):
    return make_positions(options, pretrained=False)


@pytest.mark.parametrize("kind", ["swin", "swin_v2", "shaw", "irpe"])
def test_what_can_be_is_let_pass_without_a_grid(kind):
    for vision in ({}, {"width": 192, "head_width": 64}, {"patch_size": 8}):
        refuse_positions(made({"relative": kind, "rotary": "mixed"}), vision)
