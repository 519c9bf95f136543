"""Shapes stand where they are placed, at any size, and draws are even."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from cloc.scenes.kinds import COLOURS, SHAPES
from cloc.scenes.wherebench.canvas import (
    KIND,
    Picture,
    among,
    below,
    kinds,
    named,
    pixels,
    placed,
    shuffled,
)


@pytest.mark.parametrize("size", [64, 100, 224])
def test_a_shape_stands_about_its_centre(size):
    for shape in SHAPES:
        thing = placed(KIND["red", shape], 200, (300, 700), size=size)
        x0, y0, x1, y1 = thing.box
        assert abs((x0 + x1) / 2 / size - 0.3) <= 1 / size
        assert abs((y0 + y1) / 2 / size - 0.7) <= 1 / size
        assert abs((x1 - x0) / size - 0.2) <= 1 / size
        red = np.asarray(Picture(size, 0, (thing,)).draw()).astype(int)
        rows, columns = (np.ptp(red, -1) > 16).nonzero()
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.abs(np.subtract(found, thing.box)).max() <= 1


def test_later_things_lie_over_earlier_ones():
    things = [placed(KIND[c, "square"], 400, (500, 500), size=64) for c in ("red", "blue")]
    assert tuple(np.asarray(Picture(64, 0, tuple(things)).draw())[32, 32]) == COLOURS["blue"]


def test_the_ground_depends_on_its_seed_alone():
    one, same, other = (Picture(64, seed, ()).draw().tobytes() for seed in (5, 5, 6))
    assert one == same != other


def test_boxes_are_pixels():
    thing = placed(KIND["red", "square"], 500, (500, 500), size=64)
    assert Picture(64, 0, (thing,)).boxes.tolist() == [[16, 16, 48, 48]]
    assert Picture(64, 0, ()).boxes.shape == (0, 4)


def test_halves_of_a_pixel_go_up():
    assert [pixels(x, 100) for x in (0, 4, 5, 14, 15, 1000)] == [0, 0, 1, 1, 2, 100]


def test_colours_differ_and_no_kind_is_likelier():
    rng = Random(0)
    found = [kinds(rng, 3) for _ in range(3000)]
    assert all(len({kind.colour for kind in three}) == 3 for three in found)
    for place in range(3):
        for names in (COLOURS, SHAPES):
            seen = Counter(
                three[place].colour if names is COLOURS else three[place].shape for three in found
            )
            assert set(seen) == set(names)
            assert max(abs(n - 3000 / len(names)) for n in seen.values()) < 80
    assert {kind.texture for three in found for kind in three} == {"solid"}


def test_draws_reach_both_ends():
    rng = Random(0)
    assert {among(rng, -1, 1) for _ in range(100)} == {-1, 0, 1}
    assert {below(rng, 3) for _ in range(100)} == {0, 1, 2}
    assert {tuple(shuffled(rng, "abc")) for _ in range(200)} == {
        tuple(word) for word in ("abc", "acb", "bac", "bca", "cab", "cba")
    }


def test_names_have_their_article():
    assert named(KIND["orange", "ring"]) == "an orange ring"
