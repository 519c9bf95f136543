"""The shared rules of relations: margins, the other way round, words that answer each other."""

from itertools import permutations
from random import Random

import pytest

from cloc.data.samples import relations
from cloc.data.samples.relations import (
    AWAY,
    FLIPPED,
    OPPOSITE,
    OWN,
    SYNONYMS,
    TO_THE_LEFT,
    TO_THE_RIGHT,
    TOWARDS,
    clearly_not,
    from_here,
    hides,
    own_side,
    placement,
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


def test_words_answer_each_other():
    assert all(OPPOSITE[OPPOSITE[word]] == word for word in OPPOSITE)
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
