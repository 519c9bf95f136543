"""Encodings from plain options, and what cannot be, before anything is built."""

import open_clip
import pytest
import torch

from cloc.errors import UserError
from cloc.models.build import build_model
from cloc.models.positions.encodings import Positions, continued, make_positions
from cloc.models.tower_build import make_tower
from tests.helpers.checkpoints import save_run
from tests.helpers.models import NATIVE, make_model, random_pixels

ZERO = {"zero_start": True}


def made(options, *, pretrained=False):
    return make_positions(options, pretrained=pretrained)


def test_options_of_before_are_those_of_the_table():
    old, new = {"interpolation": "bilinear", "antialias": False}, made({})
    assert made(old) == made({"absolute": old})
    assert new == Positions()
    assert new.described()["absolute"]["kind"] == "learned"
    assert made(old).described()["absolute"]["interpolation"] == "bilinear"


def test_what_was_described_is_made_again():
    given = {
        "absolute": {"kind": "sincos", "antialias": False},
        "relative": {"kind": "irpe", "on": "qk"},
        "rotary": {"kind": "dinov3", "rescale": 2.0},
    }
    own = made(given, pretrained=True)
    assert own.zero_start is True
    assert made(own.described()) == own


def test_a_rotation_begins_at_nothing_for_a_trained_tower_alone_unless_it_is_told():
    assert made({"rotary": {"kind": "axial"}}).zero_start is False
    assert made({"rotary": {"kind": "axial"}}, pretrained=True).zero_start is True
    told = {"rotary": {"kind": "axial", "zero_start": False}}
    assert made(told, pretrained=True).zero_start is False
    assert made({"relative": {"kind": "irpe"}}, pretrained=True).zero_start is False
    assert made({"rotary": "axial"}) == made({"rotary": {"kind": "axial"}})
    assert made({"absolute": "none", "rotary": None}) == made({"absolute": {"kind": "none"}})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rope": {}}, r"positions\.rope is unknown; it has absolute, relative and rotary"),
        ({"absolute": {"kind": "sine"}}, r"kind=sine of .*absolute; choose learned, sincos, none"),
        ({"absolute": {"kernel": 3}}, r"positions\.absolute=\{'kernel': 3\}; it has kind"),
        (
            {"relative": {"kind": "irp"}},
            r"kind=irp of .*relative; choose irpe, shaw, swin, swin_v2",
        ),
        ({"relative": {"reach": 2}}, r"kind=None of .*relative; choose irpe"),
        ({"rotary": {"kind": "polar"}}, r"kind=polar of .*rotary; choose flattened, axial, mixed"),
        (
            {"rotary": {"kind": "axial", "basis": 2}},
            r"basis of .*rotary is unknown; axial has base",
        ),
        (
            {"rotary": {"kind": "axial", "zero_start": "no"}},
            r"zero_start=no of .*rotary; give true",
        ),
        (
            {"relative": {"kind": "swin", "reach": 2}},
            r"reach of .*relative is unknown; swin has grid",
        ),
    ],
)
def test_what_is_not_among_them_is_one_line(given, says):
    with pytest.raises(UserError, match=says):
        made(given)


def test_published_sizes_take_all_of_them():
    """ViT-B-16 and ViT-L-14 of open_clip, without memory."""
    for name, grid, heads in (("ViT-B-16", (14, 14), 12), ("ViT-L-14", (16, 16), 16)):
        with torch.device("meta"):
            tower = make_tower(
                open_clip.get_model_config(name),
                positions={"relative": {"kind": "irpe", "on": "qkv"}, "rotary": {"kind": "mixed"}},
            )
            pixels = torch.empty(1, 3, tower.image_size, tower.image_size, dtype=torch.uint8)
            assert tower.images(pixels).tokens.shape[1] == grid[0] * grid[1]
        rotary = tower.clip.visual.transformer.resblocks[0].attn.rotary
        assert rotary.frequencies.shape == (2, heads, 32)


@torch.no_grad()
def test_a_run_keeps_its_encodings_and_hands_them_on(tmp_path):
    options = {"absolute": {"kind": "none"}, "relative": {"kind": "swin"}, "rotary": "mixed"}
    model = build_model({"config": NATIVE, "positions": options}).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    save_run(tmp_path / "run", model)
    pixels = random_pixels(0, 2)
    again = build_model({"start": f"run:{tmp_path}/run"}).eval()
    assert again.tower.positions == model.tower.positions
    torch.testing.assert_close(again.tower.images(pixels).pooled, model.tower.images(pixels).pooled)
    larger = build_model({"start": f"run:{tmp_path}/run", "image_size": [48, 64]}).eval()
    wide = random_pixels(0, 2, size=(48, 64))
    torch.testing.assert_close(larger.tower.images(wide).pooled, model.tower.images(wide).pooled)
    other = {"start": f"run:{tmp_path}/run", "positions": {"rotary": "mixed"}}
    with pytest.raises(UserError, match="the start has encodings of position that the mod"):
        build_model(other)


@torch.no_grad()
def test_a_start_without_them_keeps_what_it_has_and_gains_what_it_has_not(tmp_path):
    plain = make_model(region_head=None).eval()
    save_run(tmp_path / "run", plain)
    options = {"relative": {"kind": "irpe"}, "rotary": {"kind": "axial"}}
    found = build_model({"start": f"run:{tmp_path}/run", "positions": options}).eval()
    assert found.tower.positions.zero_start
    pixels = random_pixels(0, 2)
    torch.testing.assert_close(
        found.tower.images(pixels).pooled, plain.tower.images(pixels).pooled, rtol=0, atol=1e-6
    )


@torch.no_grad()
def test_a_run_of_before_whose_gates_have_no_axis_goes_on(tmp_path):
    model = build_model({"config": NATIVE, "positions": {"rotary": {"kind": "axial", **ZERO}}})
    gates = [p for name, p in model.named_parameters() if name.endswith(".gate")]
    for number, gate in enumerate(gates):
        gate.data = torch.tensor(0.1 + number)
    save_run(tmp_path / "run", model.eval())
    again = build_model({"start": f"run:{tmp_path}/run"}).eval()
    found = [p for name, p in again.named_parameters() if name.endswith(".gate")]
    assert [p.shape for p in found] == [(1,), (1,)]
    pixels = random_pixels(0, 2)
    torch.testing.assert_close(again.tower.images(pixels).pooled, model.tower.images(pixels).pooled)


def described(given, own):
    return continued(given, own).described()


def test_what_is_not_said_of_a_kind_is_the_start_s():
    own = made({"absolute": "none", "relative": {"kind": "swin", "grid": [4, 4]}}).described()
    axial = made({"rotary": {"kind": "axial", "base": 50}}).described()
    assert described(None, own) == described({"rotary": None}, own) == own
    assert described({"relative": "swin"}, own) == own
    # a table that is there no more is not begun anew, and a rotation that is learned goes on
    assert described({"rotary": "mixed"}, own)["absolute"]["kind"] == "none"
    assert described({"rotary": "axial"}, axial) == axial
    assert described({"rotary": {"base": 70}}, axial)["rotary"]["base"] == 70
    bilinear = described({"absolute": {"interpolation": "bilinear"}}, own)
    assert bilinear["absolute"] == {**own["absolute"], "interpolation": "bilinear"}
    assert described({"absolute": "sincos"}, own)["absolute"]["kind"] == "sincos"
    old = {"interpolation": "bilinear", "antialias": False}
    assert (
        described({"absolute": {"kind": "learned"}}, old)["absolute"] == {"kind": "learned"} | old
    )


def test_a_start_without_encodings_takes_any_from_nothing():
    assert continued({"rotary": "axial"}, None) == made({"rotary": "axial"}, pretrained=True)
    assert continued(None, None) == Positions()


@pytest.mark.parametrize(
    ("given", "own", "says"),
    [
        (
            {"relative": {"kind": "swin", "grid": [6, 6]}},
            {"relative": {"kind": "swin", "grid": [4, 4]}},
            r"grid=\[6, 6\] of .*relative, but the start was trained with \[4, 4\]; leave grid out",
        ),
        (
            {"rotary": {"kind": "axial", "zero_start": True}},
            {"rotary": {"kind": "axial", "zero_start": False}},
            "zero_start=True of .*rotary, but the start was trained with False; leave zero_st",
        ),
    ],
)
def test_tables_of_another_grid_and_gates_that_are_not_there_are_one_line(given, own, says):
    with pytest.raises(UserError, match=says):
        continued(given, own)


@torch.no_grad()
def test_a_run_at_another_size_keeps_the_grid_of_its_tables_though_their_kind_is_said(tmp_path):
    """Swin's is resampled, the scale of Swin V2 stays, and no rotation is switched off."""
    options = {"relative": {"kind": "swin_v2", "hidden": 8}, "rotary": "axial"}
    for kind in ("swin", "swin_v2"):
        model = build_model({"config": NATIVE, "positions": {**options, "relative": kind}}).eval()
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.2)
        save_run(tmp_path / kind, model)
        said = {"positions": {"relative": kind, "rotary": "axial"}, "image_size": [48, 64]}
        wide = build_model({"start": f"run:{tmp_path}/{kind}", **said}).eval()
        assert wide.tower.positions.relative["grid"] == [4, 4]
        pixels = random_pixels(0, 2, size=(48, 64))
        torch.testing.assert_close(
            wide.tower.images(pixels).pooled, model.tower.images(pixels).pooled
        )
