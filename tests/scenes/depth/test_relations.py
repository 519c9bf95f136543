"""Rules of the ground: margins, frames of reference, ranks; loose ones hold wherever strict do."""

from dataclasses import replace
from itertools import permutations
from random import Random

import pytest

from cloc.data.samples.relations import AWAY, FLIPPED, TO_THE_LEFT, TO_THE_RIGHT, TOWARDS
from cloc.scenes.depth.camera import Camera
from cloc.scenes.depth.layout import draw_layout
from cloc.scenes.depth.place import at, holding
from cloc.scenes.depth.relations import ENDS, aside, directly, ends, holds, nearer_than
from cloc.scenes.depth.solids import Solid

CAMERA, SIZE = Camera(0), 200


def put(x, row, *, shape="ball", facing=TOWARDS, world=250):
    solid = Solid(shape, "red")
    return at(solid, CAMERA, SIZE, world=world, x=x, row=row, facing=facing)


def test_nearer_by_a_tenth_is_clearly_nearer():
    near, far, farther = put(300, 880), put(600, 810), put(600, 790)
    assert not nearer_than(near, far)
    assert nearer_than(near, farther)
    assert not nearer_than(farther, near)


def test_side_by_side_is_on_one_level_and_close():
    middle = put(500, 800)
    assert directly(put(200, 800), middle) == {"left of"}
    assert directly(put(800, 810), middle) == {"right of"}
    assert not directly(put(200, 900), middle)
    assert not directly(put(480, 800), middle)
    assert not directly(put(150, 700, world=130), put(800, 700, world=130))
    assert directly(put(200, 900), middle, loose=True) == {"left of"}


def test_behind_is_in_line_and_hides_the_foot_or_shows_ground():
    middle = put(500, 800)
    assert directly(put(500, 660), middle) == {"behind"}
    assert directly(put(510, 950), middle) == {"in front of"}
    assert not directly(put(640, 660), middle)  # aside
    assert not directly(put(500, 610), middle)  # its foot just at the top of the other
    assert not directly(put(500, 760), middle)  # no clear distance
    assert directly(put(640, 660), middle, loose=True) >= {"behind"}


def test_what_is_held_stands_at_nothing():
    content = put(500, 700, world=200)
    bowl = Solid("bowl", "blue")
    held, holder = holding(bowl, CAMERA, SIZE, world=350, content=content, word="in")
    assert not directly(held, put(200, 700), loose=True)
    assert not directly(put(200, 700), held, loose=True)
    assert holds("hold", held, "in", holder)
    assert not holds("hold", held, "on", holder)
    assert not holds("hold", content, "in", holder)


@pytest.mark.parametrize(
    ("facing", "sides"),
    [
        (AWAY, {"left of": "left", "right of": "right", "in front of": "back", "behind": "front"}),
        (TOWARDS, {"left of": "right", "right of": "left", "behind": "back"}),
        (TO_THE_LEFT, {"left of": "front", "in front of": "left", "behind": "right"}),
        (TO_THE_RIGHT, {"left of": "back", "in front of": "right", "behind": "left"}),
    ],
)
def test_own_sides_turn_with_the_front(facing, sides):
    car = put(500, 800, shape="car", facing=facing, world=330)
    spots = {"left of": (160, 800), "right of": (840, 800)}
    spots |= {"in front of": (500, 960), "behind": (500, 700)}
    for view, own in sides.items():
        ball = put(*spots[view])
        assert holds("view", ball, view, car)
        assert holds("own", ball, own, car)
        for other in {"left", "right", "front", "back"} - {own}:
            assert not holds("own", ball, other, car)


def test_beside_is_left_or_right():
    box = put(500, 800, shape="box")
    assert holds("hold", put(200, 800), "beside", box)
    assert not holds("hold", put(500, 960), "beside", box)


def test_ends_are_clear_of_every_other_and_both_or_none():
    depth, sides = ENDS
    things = [put(200, 950), put(500, 700), put(800, 690)]
    assert ends(things, depth) is None  # which is farthest is not clear
    assert ends(things, sides) == (things[0], things[2])
    things[1] = put(500, 800)
    assert ends(things, depth) == (things[0], things[2])
    assert ends([put(500, 800), put(540, 650)], sides) is None
    assert ends([], depth) is None


def test_aside_is_a_side_or_nothing():
    assert aside(put(200, 700), put(700, 750)) == "left of"
    assert aside(put(500, 600), put(500, 950)) is None


def test_strict_relations_are_loose_ones_flip_and_are_at_most_one():
    rng, seen = Random(2), set()
    for _ in range(60):
        layout = draw_layout(rng, SIZE, twins=True, held_out="never")
        for a, b in permutations(layout.versions[0].things, 2):
            here = directly(a, b)
            assert len(here) <= 1
            assert here <= directly(a, b, loose=True)
            assert {FLIPPED[word] for word in here} == directly(b, a)
            seen |= here
    assert seen == {"left of", "right of", "in front of", "behind"}


def test_distance_decides_not_the_row_of_the_foot():
    """What stands on something is as far away as that is."""
    far, near = put(300, 700), put(600, 900)
    assert nearer_than(near, far)
    assert not nearer_than(near, replace(far, distance=near.distance))
