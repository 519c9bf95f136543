"""Stamps are tight, and their bits are the pixels that they change."""

import numpy as np
import pytest

from cloc.data.samples.relations import AWAY, TOWARDS
from cloc.scenes.depth.solids import FRONTED, HOLDERS, SHAPES, Solid
from cloc.scenes.depth.stamps import FAINT, bits_of, form, stamp


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [8, 13, 30, 70])
def test_no_rim_is_empty_and_nothing_is_too_faint_to_see(shape, side):
    found = form(shape, TOWARDS, side, 224)
    assert found.alpha.shape == (found.height, found.width)
    assert found.alpha[found.alpha > 0].min() >= FAINT
    for rim in (found.alpha[0], found.alpha[-1], found.alpha[:, 0], found.alpha[:, -1]):
        assert rim.any()


@pytest.mark.parametrize("shape", SHAPES)
def test_bits_are_the_pixels_and_the_front_is_some_of_them(shape):
    found = form(shape, TOWARDS, 15, 64)
    for bits, alpha in ((found.bits, found.alpha), (found.front, found.front_alpha)):
        assert bits == sum(1 << (int(y) * 64 + int(x)) for y, x in np.argwhere(alpha > 0))
    assert found.front & ~found.bits == 0
    assert bool(found.front) == (shape in HOLDERS and shape != "box")


def test_bottom_is_counted_from_the_middle_of_the_square():
    assert form("ball", TOWARDS, 20, 64).bottom == 10
    table = form("table", TOWARDS, 40, 64)
    assert (table.height, table.bottom) == (38, 20)  # from -0.9 to 0.96, of 20 rows each


@pytest.mark.parametrize("shape", FRONTED)
def test_a_form_depends_on_where_its_front_points(shape):
    one, other = (form(shape, facing, 20, 64).planes for facing in (AWAY, TOWARDS))
    assert one.shape != other.shape or (one != other).any()


def test_what_has_no_front_points_nowhere():
    with pytest.raises(AssertionError):
        form("ball", AWAY, 20, 64)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stamp_shows_its_colour(shape):
    red, blue = (
        np.asarray(stamp(Solid(shape, colour), TOWARDS, 14, 64).colours).astype(int)
        for colour in ("red", "blue")
    )
    opaque = np.asarray(stamp(Solid(shape, "red"), TOWARDS, 14, 64).alpha) == 255
    assert (red - blue)[opaque][:, 0].mean() > 50
    assert (blue - red)[opaque][:, 2].mean() > 50


def test_accents_stand_out_on_bright_and_on_dark_colours():
    for colour, bright in (("yellow", False), ("pink", False), ("blue", True), ("brown", True)):
        shown = np.asarray(stamp(Solid("duck", colour), TOWARDS, 60, 224).colours)
        beak = shown[23:27, 22:25].astype(int)  # a little below the middle of the head
        assert (beak.mean() > 200) == bright, colour


def test_bits_of_a_mask_that_is_narrower_than_the_picture():
    assert bits_of(np.array([[True, False], [False, True]]), 8) == 1 | 1 << 9
