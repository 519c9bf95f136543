"""Arrangements: two versions that differ by one relation, and places that tell nothing of it."""

from collections import Counter
from random import Random

import pytest

from cloc.scenes.depth.arrange import (
    ACROSS,
    ALONG,
    EIGHTH,
    KINDS,
    SOLITARY,
    draw_plan,
    pairs,
    world_of,
)
from cloc.scenes.depth.camera import draw_camera
from cloc.scenes.depth.relations import holds
from cloc.scenes.depth.solids import FRONTED, HELD_OUT, HOLDERS, WORLD, Solid

SIZE = 64


def arranged(kind, count, *, amount=60):
    rng, found = Random(1), []
    while len(found) < amount:
        plan = draw_plan(rng, kind, held_out=False)
        both = pairs(rng, plan, draw_camera(rng), SIZE, count=count)
        if both:
            found.append((plan, both))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2])
def test_versions_show_the_candidates_alike_and_the_other_word(kind, count):
    for plan, (one, other) in arranged(kind, count):
        assert len(one) == len(other) == count
        for here, there in zip(one, other, strict=True):
            assert here.one.box == there.one.box
            assert (here.one.solid, here.one.facing) == (there.one.solid, there.one.facing)
            assert {here.word, there.word} == set(plan.words)
            assert here.other.solid == there.other.solid == plan.solids[1]
        if count == 2:
            assert one[0].word == other[1].word != one[1].word


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_what_is_said_of_it_and_its_look_alike_is_not(kind):
    for plan, versions in arranged(kind, 2):
        for first, second in versions:
            for mine, rival in ((first, second), (second, first)):
                assert holds(plan.kind, mine.one, mine.word, mine.other)
                for pair in (first, second):
                    assert not holds(plan.kind, rival.one, mine.word, pair.other, loose=True)


@pytest.mark.parametrize("kind", KINDS)
def test_either_word_comes_first_and_every_word_comes(kind):
    found = arranged(kind, 1, amount=200)
    first = sum(one[0].word == plan.words[0] for plan, (one, _) in found)
    assert 70 < first < 130
    words = Counter(one[0].word for _, (one, _) in found)
    expected = {"across": set(ACROSS), "along": set(ALONG)}
    expected["own"] = {"left", "right", "front", "back"}
    expected["hold"] = {"in", "on", "under", "beside"}
    assert set(words) == expected[kind]


def test_own_sides_change_by_the_place_or_by_the_turn():
    ways = Counter(
        (one[0].other.box == other[0].other.box, one[0].other.facing == other[0].other.facing)
        for _, (one, other) in arranged("own", 1, amount=200)
        if one[0].other.solid.shape != "duck"  # of equal width from all sides
    )
    assert ways[False, True] > 30
    assert ways[False, False] + ways[True, False] > 30
    assert not ways[True, True]


@pytest.mark.parametrize("kind", ["across", "own"])
def test_no_patch_of_an_eighth_holds_parts_of_two_side_by_side(kind):
    for plan, versions in arranged(kind, 1):
        for [pair] in versions:
            if plan.axis == ACROSS:
                a, b = sorted((pair.one.box, pair.other.box))
                assert b[0] - a[2] >= SIZE * EIGHTH // 1000 - 1


def test_candidates_side_by_side_vary_by_whole_eighths():
    """So that where patches cut the other thing is no sign of its side."""
    starts = Counter(int(one[0].other.x) % 8 for _, (one, _) in arranged("across", 1, amount=800))
    assert min(starts.values()) > 60


def test_colours_of_the_two_differ_and_shapes_fit():
    rng = Random(0)
    for kind in KINDS:
        for _ in range(200):
            plan = draw_plan(rng, kind, held_out=False)
            one, other = plan.solids
            assert one.colour != other.colour
            assert not {one.name, other.name} & HELD_OUT
            if plan.axis == ALONG:
                assert {one.shape, other.shape} <= set(SOLITARY)
            if kind == "own":
                assert other.shape in FRONTED
            if kind == "hold":
                assert plan.words == HOLDERS[other.shape]


def test_held_out_pairs_are_drawn_where_they_may_be():
    rng = Random(0)
    drawn = [draw_plan(rng, "across", held_out=True).solids for _ in range(400)]
    assert any(solid.name in HELD_OUT for both in drawn for solid in both)


def test_sizes_vary_so_that_they_do_not_say_the_distance():
    rng = Random(0)
    sizes = [world_of(rng, Solid("ball", "red")) for _ in range(300)]
    assert max(sizes) / min(sizes) > 1.25
    tables = [world_of(rng, Solid("table", "red")) for _ in range(300)]
    assert sum(tables) / sum(sizes) == pytest.approx(WORLD["table"] / 10, rel=0.03)
