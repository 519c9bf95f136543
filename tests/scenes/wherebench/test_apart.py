"""Shapes apart: clear of each other and of the rim, and the same shapes in both pictures."""

from itertools import combinations
from random import Random

import pytest

from cloc.scenes.wherebench.apart import above_below, between, count_side, left_right, place
from cloc.scenes.wherebench.canvas import GAP

MAKERS = (left_right, above_below, between, count_side, place)
SIZE = 250  # four thousandths are a pixel


def drawn(maker, count=150):
    rng = Random(0)
    return [maker(rng, SIZE) for _ in range(count)]


def apart(a, b):
    """Along the axis on which the boxes are further from each other."""
    return max(max(a[i], b[i]) - min(a[i + 2], b[i + 2]) for i in (0, 1))


@pytest.mark.parametrize("maker", MAKERS)
def test_no_patch_of_a_seventh_holds_parts_of_two_kinds(maker):
    for one in drawn(maker):
        for picture in one.pictures:
            for a, b in combinations(picture.things, 2):
                if a.kind != b.kind:
                    assert apart(a.box, b.box) >= GAP // 4 - 1
                else:
                    assert apart(a.box, b.box) >= 6
            assert picture.boxes.min() >= 4
            assert picture.boxes.max() <= 246


@pytest.mark.parametrize("maker", MAKERS)
def test_both_pictures_show_the_same_shapes(maker):
    for one in drawn(maker):
        shown = [[(t.kind, t.side) for t in picture.things] for picture in one.pictures]
        assert shown[0] == shown[1]
        assert one.pictures[0].things != one.pictures[1].things


@pytest.mark.parametrize(
    ("maker", "share"),
    [(left_right, 1), (count_side, 1), (place, 1 / 3), (above_below, 0), (between, 0)],
)
def test_a_mirror_exchanges_the_captions_where_sides_decide(maker, share):
    found = sum(one.mirror_swaps for one in drawn(maker)) / 150
    assert found == pytest.approx(share, abs=0.12 if 0 < share < 1 else 0)


def test_of_two_sides_one_has_more_and_the_other_picture_has_them_there():
    for one in drawn(count_side):
        lefts = []
        for picture in one.pictures:
            *many, anchor = picture.things
            lefts.append(sum(thing.x < anchor.x for thing in many))
        assert lefts[0] != lefts[1]
        assert sum(lefts) == len(one.pictures[0].things) - 1


def test_a_quarter_is_left_by_half_a_side():
    for one in drawn(place):
        for here, there in zip(*(picture.things for picture in one.pictures), strict=True):
            assert {abs(here.x - there.x), abs(here.y - there.y)} <= {0, 125}
