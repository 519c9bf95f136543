"""Things cut out of pictures: seen whole, named, large enough, and without what was around them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from cloc.data.samples.record import Region
from cloc.errors import UserError
from cloc.scenes.depth.generate import scenes
from data_prep.pasting.cutouts import cut_out, seen_masks
from tests.data_prep.pasting.scraps import GREY, disc, scrap, two_discs

SIZE = (120, 90)
RED, BLUE = (200, 0, 0), (0, 0, 200)


def cut(record, at_least=64):
    drops = Counter()
    return list(cut_out(record, drops, pixels_at_least=at_least)), drops


def test_a_thing_is_its_mask_and_nothing_around_it():
    (red, blue), drops = cut(two_discs("a", "Ball", "the  cup"))
    assert (red.label, blue.label, red.key, drops) == ("ball", "cup", "a", Counter())
    assert (red.size, blue.size) == ((37, 37), (45, 45))
    for found, colour in ((red, RED), (blue, BLUE)):
        alpha = found.pixels[..., 3]
        assert (found.pixels[..., :3][alpha == 255] == colour).all()
        assert set(np.unique(alpha)) == {0, 255}
        sides = (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1])
        assert all(side.any() for side in sides)


def test_the_size_is_of_the_mask_and_not_of_the_regions_box():
    mask = disc(SIZE, (60, 45), 10)
    (found,), _ = cut(scrap("a", [("ball", mask, RED)], boxes={0: (20, 20, 100, 80)}))
    assert found.size == (21, 21)


def test_what_is_no_whole_named_thing_is_counted():
    ball = disc(SIZE, (60, 45), 20)
    cases = {
        "label": [("", ball, RED)],
        "small": [("ball", disc(SIZE, (60, 45), 3), RED)],
        "edge": [("ball", disc(SIZE, (19, 45), 19), RED)],
        "parts": [("ball", ball & (np.arange(120) % 30 > 3), RED)],
    }
    for reason, things in cases.items():
        assert cut(scrap("a", things)) == ([], Counter({reason: 1})), reason


def test_things_that_touch_are_both_left_out_and_those_apart_are_not():
    ball = disc(SIZE, (40, 45), 20)
    found, drops = cut(scrap("a", [("ball", ball, RED), ("cup", disc(SIZE, (80, 45), 19), BLUE)]))
    assert (found, drops) == ([], {"touched": 2})
    found, _ = cut(scrap("a", [("ball", ball, RED), ("cup", disc(SIZE, (82, 45), 19), BLUE)]))
    assert len(found) == 2


def test_a_box_without_a_mask_touches_unless_it_is_another_name_of_the_same_thing():
    ball = disc(SIZE, (60, 45), 20)
    things = [("ball", ball, RED), ("ball", None, RED)]
    found, _ = cut(scrap("a", things, boxes={1: (40, 25, 81, 66)}))
    assert len(found) == 1
    for box, label in (((70, 30, 110, 80), "ball"), ((40, 25, 81, 66), "toy")):
        things = [("ball", ball, RED), (label, None, RED)]
        assert cut(scrap("a", things, boxes={1: box}))[1] == {"touched": 1}


def test_specks_are_left_out():
    ball = disc(SIZE, (60, 45), 20)
    ball[20, 20] = True
    (found,), _ = cut(scrap("a", [("ball", ball, RED)]))
    assert found.size == (41, 41)


def test_the_rim_of_a_large_thing_has_the_colours_inside_it():
    size = (400, 400)
    rough, inner = disc(size, (200, 200), 102), disc(size, (200, 200), 100)
    record = scrap("a", [("ball", inner, RED)], size=size)
    wrong = scrap("a", [("ball", rough, RED)], size=size)
    (found,), _ = cut(replace(record, meta=wrong.meta))  # a mask with two pixels of the ground
    assert (found.pixels[..., :3][found.pixels[..., 3] > 0] == RED).all()
    thin = disc(size, (200, 200), 9)
    (small,), _ = cut(replace(scrap("a", [("ball", thin, RED)], size=size)))
    assert (small.pixels[..., :3][small.pixels[..., 3] == 0] == GREY).all()  # untouched


def test_masks_of_a_scene_are_those_of_what_is_seen():
    for record in scenes("train", 5, seed=3, facing=True, relational=1.0):
        masks = seen_masks(record)
        seen = [mask for mask in masks if mask is not None]
        assert len(seen) == len(record.meta["things"])
        assert sum(mask.astype(int) for mask in seen).max() == 1  # no pixel is of two things
        for mask, region in zip(seen, record.regions, strict=False):
            ys, xs = np.nonzero(mask)
            x0, y0, x1, y1 = region.box
            assert x0 <= xs.min() <= xs.max() < x1
            assert y0 <= ys.min() <= ys.max() < y1


def test_a_thing_of_a_scene_that_is_partly_hidden_is_never_cut():
    count = 0
    for record in scenes("train", 40, seed=1):
        for found in cut(record)[0]:
            boxes = [r.box for r in record.regions if r.label == found.label]
            sizes = [(round(x1 - x0), round(y1 - y0)) for x0, y0, x1, y1 in boxes]
            assert found.size in sizes  # boxes are of the whole thing, hidden parts too
            count += 1
    assert count > 20


@pytest.mark.parametrize("visible", ["1 2 x", "9", "4096 0 -1", "1 " * 70000])
def test_a_visible_mask_that_is_none_is_refused_in_one_line(visible):
    (record,) = scenes("train", 1)
    things = [{"visible": visible}]
    with pytest.raises(UserError, match=r"record train-00000000: meta.things\[0\] has counts"):
        seen_masks(replace(record, meta={"things": things}))


def test_regions_without_any_mask_give_nothing():
    (record,) = scenes("train", 1)
    assert cut(replace(record, meta={})) == ([], Counter())
    assert cut(replace(record, meta={"things": "x", "twins": []})) == ([], Counter())


def test_a_turned_picture_is_cut_as_it_is_shown():
    mask = np.zeros((90, 120), bool)
    mask[20:40, 30:90] = True
    record = replace(scrap("a", [("bar", mask, RED)]), orientation=6)
    (found,), _ = cut(record)
    assert found.size == (20, 60)
    record = replace(record, regions=(*record.regions, Region((0, 0, 35, 25), "x", label="x")))
    record = replace(record, meta={"masks": [*record.meta["masks"], None]})
    assert cut(record)[1] == {"touched": 1}


def test_pictures_are_rgb():
    (red, _), _ = cut(two_discs("a", "ball", "cup"))
    assert PIL.Image.fromarray(red.pixels).getpixel((18, 18)) == (*RED, 255)
