"""Layouts: what they hold, what is hidden, and that versions differ in nothing but the relation."""

from collections import Counter
from itertools import combinations
from random import Random

import pytest

from cloc.scenes.depth.arrange import SOLITARY
from cloc.scenes.depth.layout import DIFFERENT_ROWS, MIN_VISIBLE, draw_layout
from cloc.scenes.depth.solids import ALL, HELD_OUT

SIZE = 64


def make(count, *, twins=0.4, held_out="never", size=SIZE):
    rng = Random(7)
    return [
        draw_layout(rng, size, twins=rng.random() < twins, held_out=held_out) for _ in range(count)
    ]


@pytest.fixture(scope="module")
def layouts():
    return make(400)


def looks(thing):
    return thing.solid, thing.facing, thing.box


def test_2_to_8_things_of_all_kinds_of_relations(layouts):
    counts = {len(layout.versions[0].things) for layout in layouts}
    assert {2, 3, 4, 5, 6} <= counts <= set(range(2, 9))
    kinds = Counter(layout.kind for layout in layouts)
    assert kinds.keys() == {"view", "own", "hold", "crowd"}
    assert min(kinds.values()) > 50


def test_versions_differ_in_what_is_related_alone(layouts):
    for layout in layouts:
        if layout.kind == "crowd":
            assert len(layout.versions) == 1
            continue
        one, other = layout.versions
        about = [{id(t) for pair in v.pairs for t in pair[::2]} for v in (one, other)]
        rest = [
            {looks(t) for t in v.things if id(t) not in ids}
            for v, ids in zip((one, other), about, strict=True)
        ]
        assert rest[0] == rest[1]
        assert [p.one.box for p in one.pairs] == [p.one.box for p in other.pairs]
        assert [p.word for p in one.pairs] != [p.word for p in other.pairs]


def test_enough_of_everything_is_seen(layouts):
    for version in (version for layout in layouts for version in layout.versions):
        for thing in version.things:
            seen = version.visible[thing].bit_count() / thing.bits.bit_count()
            assert 100 * seen >= MIN_VISIBLE


def test_of_two_that_overlap_it_is_seen_which_is_in_front(layouts):
    overlaps = 0
    for version in (version for layout in layouts for version in layout.versions):
        for a, b in combinations(version.things, 2):
            if a.bits & b.bits and a.holder is not b and b.holder is not a:
                overlaps += 1
                assert a.solid.colour != b.solid.colour
                assert abs(a.row - b.row) >= DIFFERENT_ROWS
                assert {a.solid.shape, b.solid.shape} <= SOLITARY
    assert overlaps > 200


def test_nothing_seems_to_stand_on_or_in_what_does_not_hold_it(layouts):
    """Above what may hold it there is ground between, a quarter of the higher one at least."""
    for version in (version for layout in layouts for version in layout.versions):
        for a, b in combinations(version.things, 2):
            paired = any({a, b} == {p.one, p.other} for p in version.pairs)
            if paired or {a.solid.shape, b.solid.shape} <= SOLITARY:
                continue
            (ax, ay, az, aw), (bx, by, bz, bw) = a.box, b.box
            assert az <= bx or bz <= ax or max(ay, by) - min(aw, bw) > max(a.height, b.height) / 4


def test_nothing_hides_what_is_related_but_what_it_is_related_to(layouts):
    for layout in layouts:
        for version in layout.versions:
            for pair in version.pairs:
                for thing in pair[::2]:
                    hidden = thing.bits & ~version.visible[thing]
                    own = {id(t) for p in version.pairs for t in p[::2]}
                    for other in version.things:
                        assert id(other) in own or other.row < thing.row or not hidden & other.bits


def test_the_farther_is_painted_first(layouts):
    for version in (version for layout in layouts for version in layout.versions):
        distances = [thing.distance for thing in version.things]
        assert distances == sorted(distances, reverse=True)


def test_look_alikes_are_two_equal_things_in_two_relations(layouts):
    found = [layout for layout in layouts if len(layout.versions[0].pairs) == 2]
    assert len(found) > 80
    for layout in found:
        one, other = layout.versions[0].pairs
        assert (one.one.solid, one.one.facing) == (other.one.solid, other.one.facing)
        assert one.other.solid == other.other.solid
        assert one.word != other.word


@pytest.mark.parametrize(("twins", "counts"), [(0.0, {3, 4, 5}), (1.0, {2})])
def test_a_crowd_is_of_equal_things(twins, counts):
    crowds = [layout.crowd for layout in make(200, twins=twins) if layout.crowd]
    assert {len(crowd) for crowd in crowds} == counts
    assert all(len({thing.solid for thing in crowd}) == 1 for crowd in crowds)


def test_nothing_else_is_there_twice(layouts):
    for layout in layouts:
        counts = Counter(thing.solid for thing in layout.versions[0].things)
        several = {solid for solid, count in counts.items() if count > 1}
        about = {thing.solid for p in layout.versions[0].pairs for thing in p[::2]}
        assert several <= about | {thing.solid for thing in layout.crowd}


@pytest.mark.parametrize("size", [32, 96, 224])
def test_boxes_lie_in_the_picture_at_every_size(size):
    for layout in make(20, size=size):
        for thing in layout.versions[0].things:
            assert min(thing.box) >= 0
            assert max(thing.box) <= size


def test_held_out_pairs_never_or_always_occur():
    for twins in (0.0, 1.0):
        for held_out in ("never", "always"):
            for layout in make(40, twins=twins, held_out=held_out):
                names = {thing.solid.name for thing in layout.versions[0].things}
                assert bool(names & HELD_OUT) == (held_out == "always")


def test_every_solid_is_drawn():
    drawn = {t.solid for layout in make(1200, held_out="always") for t in layout.versions[0].things}
    assert drawn == set(ALL)
