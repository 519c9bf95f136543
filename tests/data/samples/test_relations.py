"""The shared rules of relations: margins, the other way round, words that answer each other."""

from itertools import permutations
from random import Random

import numpy as np
import pytest

from cloc.data.samples import relations
from cloc.data.samples.relations import (
    AWAY,
    FLIPPED,
    IN_THE_PICTURE,
    OPPOSITE,
    OWN,
    SYNONYMS,
    TO_THE_LEFT,
    TO_THE_RIGHT,
    TOWARDS,
    Depths,
    clearly_not,
    depth_order,
    enclosed,
    from_here,
    held,
    hides,
    meets,
    over,
    own_side,
    placement,
    plane,
    touch,
    within,
)

SIDE = 20.0


def square(x, y):
    return (x, y, x + SIDE, y + SIDE)


@pytest.mark.parametrize(
    ("x", "y", "relation"),
    [
        (66, 50, "left of"),  # 16 px apart: 0.8 of the 20 at which they touch
        (65, 50, None),
        (34, 50, "right of"),
        (50, 66, "above"),
        (50, 34, "below"),
        (80, 75, "left of"),  # 30 along, 25 aside: 1.2
        (79, 75, None),
        (75, 80, "above"),
        (50, 50, None),
    ],
)
def test_clear_is_a_margin_along_one_axis(x, y, relation):
    assert placement(square(50, 50), square(x, y)) == relation


def boxes(count):
    """Of whole pixels, of any shape."""
    rng = Random(1)
    for _ in range(count):
        x, y, wide, high = (int(rng.random() * 100) for _ in range(4))
        yield float(x), float(y), float(x + wide + 1), float(y + high + 1)


def test_the_other_way_round_is_the_flipped_word_and_a_clear_one_is_denied_of_its_opposite():
    found = set()
    for a, b in permutations(boxes(40), 2):
        relation = placement(a, b)
        assert placement(b, a) == (relation and FLIPPED[relation])
        if relation:
            found.add(relation)
            assert clearly_not(a, FLIPPED[relation], b)
            assert not clearly_not(a, relation, b)
    assert found == {"left of", "right of", "above", "below"}


def test_nothing_is_so_and_clearly_not_so():
    for a, b in permutations(boxes(40), 2):
        for word, other in (("left of", "right of"), ("above", "below")):
            assert not (clearly_not(a, word, b) and clearly_not(a, other, b))
            assert clearly_not(a, word, b) == clearly_not(b, other, a)


@pytest.mark.parametrize(("x", "denied"), [(42, True), (43, False), (50, False), (90, False)])
def test_denied_is_on_the_other_side_by_a_margin(x, denied):
    """8 px: 0.4 of the 20 at which they touch."""
    assert clearly_not(square(50, 50), "left of", square(x, 50)) == denied
    assert clearly_not(square(50, 50), "above", square(50, x)) == denied


def test_scaling_and_moving_both_changes_nothing():
    """So that fractions of a square picture do as well as pixels, by powers of two exactly."""
    for a, b in permutations(boxes(30), 2):
        one, other = (tuple(x / 256 + 0.5 for x in box) for box in (a, b))
        assert placement(one, other) == placement(a, b)
        assert clearly_not(one, "above", other) == clearly_not(a, "above", b)


def test_within_touches_no_side():
    assert within((1, 1, 9, 9), (0, 0, 10, 10))
    for i, edge in enumerate((0, 0, 10, 10)):
        inner = [1, 1, 9, 9]
        inner[i] = edge
        assert not within(tuple(inner), (0, 0, 10, 10))


def test_what_hides_a_tenth_of_the_smaller_one_is_in_front():
    assert hides(10, 100)
    assert not hides(9, 100)


@pytest.mark.parametrize(
    ("b", "relation"),
    [
        ((72, 50, 92, 70), "left of"),  # a gap of 2
        ((68, 50, 88, 70), "left of"),  # they share a tenth
        ((67, 50, 87, 70), None),
        ((50, 72, 70, 92), "above"),
        ((50, 70, 70, 90), None),  # they touch: one may stand on the other
        ((60, 90, 80, 110), "above"),  # half of the columns
        ((61, 90, 81, 110), None),
    ],
)
def test_in_photographs_things_are_apart_and_over_each_other(b, relation):
    a = (50, 50, 70, 70)
    assert plane(a, b) == relation
    assert plane(b, a) == (relation and FLIPPED[relation])
    assert placement(a, b) is not None


def test_meeting_touching_and_being_over():
    a = (0, 0, 10, 10)
    assert meets(a, (8.9, 0, 30, 11))
    assert not meets(a, (9, 0, 30, 10))
    assert meets((4, 4, 6, 6), a)
    assert touch(a, (10, 10, 20, 20))
    assert not touch(a, (10.5, 0, 20, 20))
    assert over(a, (5, 90, 30, 99))
    assert not over(a, (5.5, 90, 30, 99))
    assert over(a, (2, 90, 4, 99))


@pytest.mark.parametrize(
    ("a", "b", "order"),
    [
        ((5, 6), (1, 3), "in front of"),  # a gap of 2 in a range of 10
        ((1, 3), (5, 6), "behind"),
        ((4.9, 6), (1, 3), None),
        ((1, 9), (3, 4), None),
    ],
)
def test_nearer_by_a_margin(a, b, order):
    assert depth_order(Depths(*a), Depths(*b), 10) == order
    assert depth_order(Depths(*a), Depths(*b), 0) is None  # a flat map says nothing


def square_mask(x0, y0, x1, y1):
    mask = np.zeros((100, 100), bool)
    mask[y0:y1, x0:x1] = True
    return mask


RING = square_mask(20, 20, 80, 80) & ~square_mask(30, 30, 70, 70)


@pytest.mark.parametrize(
    ("a", "inside"),
    [
        (square_mask(40, 40, 60, 60), True),
        (square_mask(31, 31, 69, 69), True),
        (square_mask(30, 40, 60, 60), False),  # it touches the rim
        (square_mask(25, 40, 60, 60), False),
        (square_mask(5, 5, 15, 15), False),
        (square_mask(0, 0, 0, 0), False),
        (RING & square_mask(40, 40, 60, 60), False),  # empty
    ],
)
def test_enclosed_lies_in_a_hole(a, inside):
    assert enclosed(a, RING & ~a) == inside
    assert not enclosed(RING, a)


def test_a_ring_that_is_open_encloses_nothing():
    assert not enclosed(square_mask(40, 40, 60, 60), RING & ~square_mask(45, 70, 55, 80))


TABLE = square_mask(10, 50, 90, 90)


@pytest.mark.parametrize(
    ("a", "is_held"),
    [
        (square_mask(40, 30, 50, 70), True),  # a cup
        (square_mask(40, 20, 50, 50), False),  # behind the table
        (square_mask(40, 20, 50, 54), False),  # 34 rows: of the last 11, four are in it
        (square_mask(40, 30, 50, 95), False),  # before it
        (square_mask(40, 30, 50, 89), False),  # its foot is too close to the edge
        (square_mask(5, 30, 20, 70), False),  # over its left edge
        (square_mask(0, 0, 0, 0), False),
    ],
)
def test_held_ends_inside_the_other(a, is_held):
    assert held(a, TABLE & ~a) == is_held
    assert not held(TABLE & ~a, a)


def test_what_is_close_touches():
    """Masks of people leave a gap, here of a pixel of the two that are close."""
    cup = square_mask(40, 30, 50, 70)
    assert held(cup, TABLE & ~square_mask(39, 29, 51, 71))
    assert not held(cup, TABLE & ~square_mask(37, 27, 53, 73))


def test_words_answer_each_other():
    assert all(OPPOSITE[OPPOSITE[word]] == word for word in OPPOSITE)
    assert {*IN_THE_PICTURE} == {"above", "below"}
    assert {*FLIPPED} < {*OPPOSITE} == {*SYNONYMS}
    for word, said in SYNONYMS.items():
        assert said[0] == word
        assert len(said) == len(SYNONYMS[OPPOSITE[word]])
    every = [text for said in SYNONYMS.values() for text in said]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize(
    ("facing", "front", "left"),
    [
        (AWAY, "behind", "left of"),
        (TOWARDS, "in front of", "right of"),
        (TO_THE_LEFT, "left of", "in front of"),
        (TO_THE_RIGHT, "right of", "behind"),
    ],
)
def test_sides_of_its_own_as_the_viewer_sees_them(facing, front, left):
    assert from_here("front", facing) == front
    assert from_here("left", facing) == left
    assert from_here("back", facing) == FLIPPED[front]
    assert from_here("right", facing) == FLIPPED[left]
    assert [own_side(from_here(own, facing), facing) for own in OWN] == list(OWN)


def test_scenes_use_these_rules():
    from cloc.scenes import layout, words
    from cloc.scenes import relations as of_scenes

    assert layout.FLIPPED is words.FLIPPED is FLIPPED
    assert of_scenes.relations is relations
