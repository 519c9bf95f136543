"""Stamps are tight, distinct and of the size they say; backgrounds are neutral."""

from itertools import combinations
from random import Random

import numpy as np
import PIL.Image
import pytest

from cloc.scenes.draw import background, mask, paste, side_range
from cloc.scenes.kinds import COLOURS, KINDS, SHAPES


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [12, 15, 22, 30])
def test_a_shape_fills_its_side_and_no_rim_is_empty(shape, side):
    alpha = mask(shape, side, 64).alpha
    assert alpha.shape == (side, side)
    assert alpha[alpha > 0].min() >= 32  # nothing too faint to see
    for rim in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
        assert rim.max() >= 32


@pytest.mark.parametrize("shape", SHAPES)
def test_bits_are_the_pixels_it_changes_and_core_those_it_hides(shape):
    found = mask(shape, 13, 64)
    for bits, pixels in ((found.bits, found.alpha > 0), (found.core, found.alpha == 255)):
        assert bits == sum(1 << (int(y) * 64 + int(x)) for y, x in np.argwhere(pixels))


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_their_own_mirror_image(shape):
    alpha = mask(shape, 30, 64).alpha.astype(int)
    assert abs(alpha - alpha[:, ::-1]).max() <= 8  # one of 64 samples may fall on an edge


def test_shapes_differ_at_the_smallest_size():
    alphas = {shape: mask(shape, 12, 64).alpha / 255 for shape in SHAPES}
    for one, other in combinations(SHAPES, 2):
        assert abs(alphas[one] - alphas[other]).mean() > 0.1, (one, other)


def crescent_area(outer, inner, apart):
    """What a disc of radius `outer` keeps when one of `inner` covers it, centres `apart`."""
    a = np.arccos((apart**2 + outer**2 - inner**2) / (2 * apart * outer))
    b = np.arccos((apart**2 + inner**2 - outer**2) / (2 * apart * inner))
    lens = outer**2 * (a - np.sin(2 * a) / 2) + inner**2 * (b - np.sin(2 * b) / 2)
    return np.pi * outer**2 - lens


def test_areas_are_those_of_geometry():
    area = {shape: mask(shape, 60, 64).alpha.sum() / 255 / 3600 for shape in SHAPES}
    known = {"circle": np.pi / 4, "square": 1, "triangle": 0.5, "diamond": 0.5}
    known |= {"ring": np.pi / 4 * (1 - 0.65**2), "moon": crescent_area(1, 0.7, 0.6) / 4 / 0.8625}
    for shape, value in known.items():
        assert area[shape] == pytest.approx(value, abs=0.01), shape


def test_colours_are_well_apart():
    for one, other in combinations(COLOURS.values(), 2):
        assert np.linalg.norm(np.subtract(one, other)) > 60


def test_a_solid_object_has_its_colour_and_a_striped_one_two():
    for kind in KINDS:
        canvas = PIL.Image.new("RGB", (64, 64))
        paste(canvas, kind, side=24, at=(3, 5))
        colours = {tuple(c) for c in np.asarray(canvas)[mask_of(kind, 24, (3, 5)) == 255]}
        assert COLOURS[kind.colour] in colours
        assert len(colours) == {"solid": 1, "striped": 2}[kind.texture]


def mask_of(kind, side, at):
    """Opacity of the object in a 64 px image."""
    whole = np.zeros((64, 64), np.uint8)
    whole[at[1] : at[1] + side, at[0] : at[0] + side] = mask(kind.shape, side, 64).alpha
    return whole


@pytest.mark.parametrize("size", [32, 64, 100])
def test_backgrounds_are_neutral_and_never_wrap_around(size):
    rng = Random(0)
    for _ in range(40):
        pixels = np.asarray(background(rng, size)).astype(int)
        assert pixels.shape == (size, size, 3)
        assert (pixels == pixels[..., :1]).all()
        assert abs(np.diff(pixels[..., 0], axis=0)).max() <= 8
        assert abs(np.diff(pixels[..., 0], axis=1)).max() <= 8
        assert pixels.max() - pixels.min() <= 2 * 24 + 6


def test_backgrounds_are_light_greys_of_many_tones():
    rng = Random(0)
    pictures = [np.asarray(background(rng, 64)) for _ in range(60)]
    assert min(picture.min() for picture in pictures) >= 156
    assert all((picture == picture[..., :1]).all() for picture in pictures)
    assert np.ptp([picture.mean() for picture in pictures]) > 30


def test_sides_grow_with_the_image():
    assert side_range("small", 64) == (12, 15)
    assert side_range("large", 64) == (22, 30)
    assert side_range("large", 128) == (44, 60)
