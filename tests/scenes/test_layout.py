"""Layouts: object counts, boxes, overlaps and look-alikes, checked against drawn pixels."""

from itertools import combinations

import pytest
import torch

from cloc import boxes
from cloc.scenes.kinds import HELD_OUT
from tests.helpers.scenes import Pixels, make_layouts


@pytest.fixture(scope="module")
def layouts():
    return make_layouts(200)


@pytest.fixture(scope="module")
def pixels(layouts):
    return [Pixels(layout) for layout in layouts]


def test_2_to_6_objects_all_numbers_of_them(layouts):
    assert {len(layout.things) for layout in layouts} == {2, 3, 4, 5, 6}


@pytest.mark.parametrize("size", [32, 64, 130])
def test_boxes_are_tight_and_inside_the_image(size):
    for layout in make_layouts(30, size=size):
        for thing, covered in zip(layout.things, Pixels(layout, size).covers, strict=True):
            rows, columns = covered.any(1).nonzero()[0], covered.any(0).nonzero()[0]
            seen = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
            assert thing.box == seen
            assert min(thing.box) >= 0
            assert max(thing.box) <= size


def test_sides_are_those_of_small_and_large(layouts):
    for thing in (thing for layout in layouts for thing in layout.things):
        low, high = {"small": (12, 15), "large": (22, 30)}[thing.kind.size]
        assert low <= max(thing.width, thing.height) <= high


def test_most_of_every_object_stays_visible(pixels):
    shares = [scene.visible_share(i) for scene in pixels for i in range(len(scene.words))]
    assert min(shares) >= 0.62


def test_some_objects_overlap(pixels):
    touching = sum(any((a & b).any() for a, b in combinations(scene.covers, 2)) for scene in pixels)
    assert 0.3 < touching / len(pixels) < 0.9


def test_things_of_one_colour_share_no_pixel(layouts, pixels):
    for layout, scene in zip(layouts, pixels, strict=True):
        for (a, over), (b, under) in combinations(zip(layout.things, scene.covers, strict=True), 2):
            assert a.kind.colour != b.kind.colour or not (over & under).any()


def test_something_lies_inside_a_ring_now_and_then(pixels):
    rings = sum(
        any(scene.enclosed(a, b) for a in range(len(scene.words)) for b in scene.matches("ring"))
        for scene in pixels
    )
    assert 0.02 < rings / len(pixels) < 0.3


def test_no_two_boxes_have_an_iou_above_one_half(layouts):
    for layout in layouts:
        for a, b in combinations(layout.things, 2):
            assert boxes.iou(torch.tensor(a.box), torch.tensor(b.box)) <= 0.5


def test_look_alikes_are_equal_and_nothing_else_is(layouts):
    with_twins = [layout for layout in layouts if layout.twins]
    assert 0.28 < len(with_twins) / len(layouts) < 0.52  # 0.4, of 200
    for layout in layouts:
        fulls = [thing.kind.full for thing in layout.things]
        if layout.twins is None:
            assert len(set(fulls)) == len(fulls)
            continue
        one, other = (layout.things[i] for i in layout.twins)
        assert (one.kind, one.side) == (other.kind, other.side)
        names = [thing.kind.name for thing in layout.things]
        assert len(set(names)) == len(names) - 1


def test_look_alikes_are_small_and_large(layouts):
    sizes = [layout.things[layout.twins[0]].kind.size for layout in layouts if layout.twins]
    assert min(sizes.count("small"), sizes.count("large")) > len(sizes) / 4


def test_either_look_alike_may_lie_in_front_or_left(layouts):
    """Their places in the list must not tell which is where."""
    pairs = [tuple(layout.things[i] for i in layout.twins) for layout in layouts if layout.twins]
    for first_leads in ([a.x < b.x for a, b in pairs], [a.y < b.y for a, b in pairs]):
        assert 0.35 < sum(first_leads) / len(pairs) < 0.65


@pytest.mark.parametrize("twins", [0.0, 1.0])
def test_held_out_pairs_never_or_always_occur(twins):
    for layout in make_layouts(100, twins=twins, held_out="never"):
        assert not {thing.kind.name for thing in layout.things} & HELD_OUT
    for layout in make_layouts(100, twins=twins, held_out="always"):
        assert {thing.kind.name for thing in layout.things} & HELD_OUT


def test_every_kind_of_object_is_drawn():
    seen = {t.kind.full for layout in make_layouts(900, held_out="always") for t in layout.things}
    assert len(seen) == 288
