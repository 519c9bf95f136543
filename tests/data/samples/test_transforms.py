"""Transforms keep a box on its pixels, on images of any shape, and words on their side."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cloc.data.samples.image_header import read_header
from cloc.data.samples.raster import from_header, from_pixels
from cloc.data.samples.transforms import Flip, PadResize, RandomCrop, Sample, swap_sides
from cloc.errors import UserError
from tests.helpers.shards import encode, flat

FRAME = 64
FIXED = settings(max_examples=80)
RED = np.array([255, 0, 0])


@st.composite
def places(draw):
    """(width, height, box): an image of any shape and a rectangle somewhere inside it."""
    width, height = draw(st.integers(40, 200)), draw(st.integers(40, 200))
    x0, y0 = draw(st.integers(0, width - 20)), draw(st.integers(0, height - 20))
    x1, y1 = draw(st.integers(x0 + 20, width)), draw(st.integers(y0 + 20, height))
    return width, height, (x0, y0, x1, y1)


def paint(place):
    """Blue with that one rectangle in red, and its box."""
    width, height, (x0, y0, x1, y1) = place
    pixels = flat(width, height, (0, 0, 255))
    pixels[y0:y1, x0:x1] = RED
    return sample(pixels, [(x0, y0, x1, y1)])


def sample(pixels, boxes, *, caption="a", phrases=None, negatives=None):
    return Sample(
        key="k",
        image=from_pixels(pixels),
        caption=caption,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        phrases=phrases or ("red",) * len(boxes),
        negatives=negatives or ((),) * len(boxes),
    )


def red_box(image):
    """Where the red is, by looking: the rows and columns that are more than half red."""
    share = image.pixels(*image.size)[..., 0].astype(float) / 255
    columns, rows = share.max(0), share.max(1)
    inside = (columns > 0.5).nonzero()[0], (rows > 0.5).nonzero()[0]
    return [inside[0][0], inside[1][0], inside[0][-1] + 1, inside[1][-1] + 1]


def assert_on_its_pixels(out, tolerance=1.5):
    assert len(out.boxes) == 1
    assert np.abs(out.boxes[0] - red_box(out.image)).max() <= tolerance


def rng(seed=0):
    return np.random.default_rng(seed)


@FIXED
@given(places())
def test_pad_resize_keeps_a_box_on_its_pixels(place):
    out = PadResize(FRAME)(paint(place), rng())
    assert out.image.size == (FRAME, FRAME)
    assert_on_its_pixels(out)


@FIXED
@given(places())
def test_flip_keeps_a_box_on_its_pixels(place):
    out = Flip(1.0)(paint(place), rng())
    assert_on_its_pixels(out, tolerance=0)


@FIXED
@given(places(), st.integers(0, 2**32))
def test_random_crop_keeps_a_box_on_its_pixels(place, seed):
    out = RandomCrop(FRAME, scale=(0.3, 1.0), min_visibility=0.2)(paint(place), rng(seed))
    assert out.image.size == (FRAME, FRAME)
    assume(len(out.boxes))
    assert_on_its_pixels(out, tolerance=2)  # a rectangle cut to a sliver has soft sides


@FIXED
@given(places(), st.integers(0, 2**32))
def test_a_chain_keeps_a_box_on_its_pixels(place, seed):
    out = paint(place)
    for transform in (Flip(0.5), RandomCrop(48, min_visibility=0.3), Flip(0.5), PadResize(FRAME)):
        out = transform(out, rng(seed))
    assume(len(out.boxes))
    assert_on_its_pixels(out, tolerance=2.5)


@FIXED
@given(places(), st.sampled_from([1, 5, 11]), st.integers(0, 2**32), st.booleans())
def test_a_box_stays_on_its_pixels_when_the_decoder_scales(place, factor, seed, crops):
    """JPEGs up to eleven times as large: decoded at every fraction, cut between its pixels."""
    place = (place[0] * factor, place[1] * factor, tuple(x * factor for x in place[2]))
    drawn = paint(place)
    data = encode(drawn.image.pixels(*drawn.image.size), "JPEG")
    out = replace(drawn, image=from_header(read_header(data, "here"), "here"))
    frame = RandomCrop(FRAME, scale=(0.3, 1.0), min_visibility=0.2) if crops else PadResize(FRAME)
    for transform in (Flip(0.5), frame):
        out = transform(out, rng(seed))
    assume(len(out.boxes))
    assert_on_its_pixels(out, tolerance=2)


@FIXED
@given(places(), st.integers(0, 2**32), st.floats(0.05, 1))
def test_a_region_is_dropped_exactly_when_too_little_of_it_stays(place, seed, at_least):
    """How much of it is visible is counted in red pixels."""
    drawn = paint(place)
    crop = RandomCrop(FRAME, scale=(0.1, 0.6), min_visibility=at_least)
    left, top, width, height = crop._part(*drawn.image.size, rng(seed))
    red = (drawn.image.pixels(*drawn.image.size) == RED).all(-1)
    share = red[top : top + height, left : left + width].sum() / red.sum()
    assume(abs(share - at_least) > 1e-6)
    assert len(crop(drawn, rng(seed)).boxes) == (share >= at_least)


def test_a_crop_without_regions_is_a_normal_sample():
    drawn = sample(flat(100, 100), [(0, 0, 1, 1), (0, 0, 99, 99)], phrases=("small", "large"))
    seen = {RandomCrop(FRAME, scale=(0.2, 0.4))(drawn, rng(i)).phrases for i in range(40)}
    assert () in seen


def test_dropping_a_region_keeps_the_words_of_the_others():
    drawn = sample(
        flat(100, 100),
        [(0, 0, 2, 2), (10, 10, 90, 90), (98, 98, 100, 100)],
        phrases=("first", "second", "third"),
        negatives=(("a",), ("b", "c"), ()),
    )
    for seed in range(20):
        out = RandomCrop(FRAME, scale=(0.6, 0.7))(drawn, rng(seed))
        if out.phrases == ("second",):
            assert out.negatives == (("b", "c"),)
            return
    raise AssertionError("no draw kept the large region alone")


def test_random_crop_covers_the_asked_share_of_the_area():
    for seed in range(50):
        _, _, width, height = RandomCrop(FRAME, scale=(0.4, 0.6))._part(300, 200, rng(seed))
        assert 0.38 < width * height / 60_000 < 0.62
        assert 0.73 < width / height < 1.37


def test_a_shape_that_no_draw_fits_is_cropped_in_the_middle():
    out = RandomCrop(FRAME, scale=(1.0, 1.0))._part(400, 10, rng())
    assert out == (193, 0, 13, 10)


def test_flip_with_probability_zero_changes_nothing_and_half_is_half():
    drawn = sample(flat(40, 40), [(0, 0, 5, 5)])
    assert Flip(0.0)(drawn, rng()) is drawn
    flipped = sum(Flip(0.5)(drawn, rng(seed)) is not drawn for seed in range(400))
    assert 150 < flipped < 250


def test_flip_swaps_the_words_everywhere():
    drawn = sample(
        flat(40, 40),
        [(0, 0, 5, 5)],
        caption="a star left of a ring",
        phrases=("the LEFT star",),
        negatives=(("star on the Right",),),
    )
    out = Flip(1.0)(drawn, rng())
    assert out.caption == "a star right of a ring"
    assert out.phrases == ("the RIGHT star",)
    assert out.negatives == (("star on the Left",),)
    assert Flip(1.0)(sample(flat(40, 40), [], caption=None), rng()).caption is None


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("left of the right one", "right of the left one"),
        ("the leftmost, rightwards", "the rightmost, leftwards"),
        ("left-hand side", "right-hand side"),
        ("Right RIGHT right", "Left LEFT left"),
        ("a bright copyright leftover", "a bright copyright leftover"),
    ],
)
def test_sides_are_whole_words_and_keep_their_case(text, swapped):
    assert swap_sides(text) == swapped
    assert swap_sides(swapped) == text


@pytest.mark.parametrize(
    "make",
    [
        lambda: Flip(1.5),
        lambda: RandomCrop(8, scale=(0.0, 1.0)),
        lambda: RandomCrop(8, scale=(0.9, 0.5)),
        lambda: RandomCrop(8, ratio=(0.0, 1.0)),
        lambda: RandomCrop(8, min_visibility=0.0),
    ],
)
def test_a_setting_out_of_range_names_itself(make):
    with pytest.raises(UserError, match=r"^(Flip|RandomCrop)\.\w+ is .*expected"):
        make()


def test_a_frame_that_is_no_square_keeps_boxes_on_their_pixels():
    """PadResize and RandomCrop end at (height, width)."""
    painted = paint((90, 60, (30, 10, 60, 40)))
    for transform in (PadResize((40, 100)), RandomCrop((40, 100), scale=(1.0, 1.0))):
        found = transform(painted, np.random.default_rng(0))
        assert found.image.size == (100, 40)
        x0, y0, x1, y1 = found.boxes[0]
        red = found.image.pixels(100, 40)[..., 0] > 127
        rows, columns = np.nonzero(red)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(seen, [x0, y0, x1, y1], atol=1.5)
