"""Shapes that meet: how much is hidden, what is held, and what stands on what, to the pixel."""

from random import Random

import numpy as np
import pytest

from cloc.scenes.wherebench.canvas import Picture
from cloc.scenes.wherebench.contact import front_behind, inside, on_under

SIZES = (64, 128)


def drawn(maker, size, count=40):
    rng = Random(0)
    return [maker(rng, size) for _ in range(count)]


def silhouette(thing, size):
    return np.ptp(np.asarray(Picture(size, 0, (thing,)).draw()).astype(int), -1) > 30


@pytest.mark.parametrize("size", SIZES)
def test_what_is_behind_is_covered_in_part_and_the_order_alone_differs(size):
    for one in drawn(front_behind, size):
        first, second = (picture.things for picture in one.pictures)
        assert first == second[::-1]
        a, b = (silhouette(thing, size) for thing in first)
        smaller = min(a.sum(), b.sum())
        assert 0.1 <= (a & b).sum() / smaller <= 0.65
        assert "ring" not in {thing.kind.shape for thing in first}


@pytest.mark.parametrize("size", SIZES)
def test_one_shape_is_in_the_hole_and_the_other_is_clear_of_the_ring(size):
    for one in drawn(inside, size):
        held = []
        for picture in one.pictures:
            ring, *others = picture.things
            assert ring.kind.shape == "ring"
            x0, y0, x1, y1 = ring.box
            within = [x0 < t.x and y0 < t.y and t.box[2] < x1 and t.box[3] < y1 for t in others]
            assert sum(within) == 1
            held.append(within.index(True))
            apart, shape = others[1 - held[-1]], others[held[-1]]
            assert max(x0 - apart.box[2], apart.x - x1, y0 - apart.box[3], apart.y - y1) >= size / 8
            assert not (silhouette(ring, size) & silhouette(shape, size)).any()
        assert held[0] != held[1]


@pytest.mark.parametrize("size", SIZES)
def test_what_stands_on_something_touches_it_and_what_floats_does_not(size):
    rests = set()
    for one in drawn(on_under, size):
        stands = []
        for picture in one.pictures:
            things = picture.things
            pairs = [(a, b) for a in things for b in things if a.box[3] == b.box[1]]
            [(upper, lower)] = pairs
            stands.append(upper.kind)
            assert abs(upper.x + upper.width / 2 - lower.x - lower.width / 2) <= 1
            for other in things:
                if other not in (upper, lower):
                    assert upper.box[1] - other.box[3] >= size / 8
            rests.add(len(things))
            a, b = silhouette(upper, size), silhouette(lower, size)
            row = upper.box[3]
            assert a[row - 2 : row].any()
            assert b[row : row + 2].any()
            assert not (a & b).any()
        assert stands[0] != stands[1]
    assert rests == {2, 3}
