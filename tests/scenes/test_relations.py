"""The whole-number rules of relations agree with what pixels show."""

from itertools import permutations

import pytest

from cloc.data.samples.relations import FLIPPED
from cloc.scenes.kinds import KINDS
from cloc.scenes.relations import at, clearly_not, depth, placement
from tests.helpers.scenes import OPPOSITE, Pixels, make_layouts

SQUARE = next(kind for kind in KINDS if kind.full == "small solid red square")


def square(x, y):
    return at(SQUARE, side=12, image_size=64, x=x, y=y)


@pytest.mark.parametrize(
    ("x", "y", "relation"),
    [
        (34, 20, "left of"),
        (6, 20, "right of"),
        (20, 34, "above"),
        (20, 6, "below"),
        (29, 20, None),  # 9 px apart, clear needs 0.8 of 12
        (30, 20, "left of"),
        (32, 30, "left of"),
        (32, 31, None),  # neither axis is 1.2 times the other
        (30, 32, "above"),
    ],
)
def test_clear_means_apart_along_one_axis(x, y, relation):
    assert placement(square(20, 20), square(x, y)) == relation


def test_the_other_way_round_is_the_flipped_relation():
    assert FLIPPED == OPPOSITE
    for layout in make_layouts(60):
        for a, b in permutations(layout.things, 2):
            there, back = placement(a, b), placement(b, a)
            assert there == (back and FLIPPED[back])


def test_clear_relations_hold_by_pixels_and_clearly_not_denies_them():
    denied = 0
    for layout in make_layouts(60):
        scene, things = Pixels(layout), layout.things
        for a, b in permutations(range(len(things)), 2):
            relation = placement(things[a], things[b])
            if relation:
                assert scene.holds(a, relation, b)
                assert clearly_not(things[a], FLIPPED[relation], things[b])
                assert not clearly_not(things[a], relation, things[b])
            for word in ("left of", "right of", "above", "below"):
                if clearly_not(things[a], word, things[b]):
                    denied += 1
                    assert not scene.may_hold(a, word, b)
    assert denied > 100


def test_depth_holds_by_pixels():
    found = {"behind": 0, "inside": 0, "around": 0}
    for layout in make_layouts(140):
        scene, things = Pixels(layout), layout.things
        for b in range(len(things)):
            for a in range(b):
                relation = depth(things[a], things[b])
                if relation is None:
                    assert not scene.enclosed(a, b)
                    assert not scene.enclosed(b, a)
                    continue
                found[relation] += 1
                pair = (b, "inside", a) if relation == "around" else (a, relation, b)
                assert scene.holds(*pair)
    assert min(found.values()) >= 3
