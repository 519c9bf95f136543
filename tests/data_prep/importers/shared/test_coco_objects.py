"""Boxes and segmentations of COCO files: polygons against exact geometry and against what COCO's
own API draws, run lengths in both forms, and everything that is neither."""

from collections import Counter

import numpy as np
import pytest
from matplotlib.path import Path

from cloc.data.samples.orientation import CODES, turned_back, upright_size
from cloc.errors import UserError
from data_prep.importers.shared import coco_objects
from data_prep.importers.shared.coco_objects import (
    compact,
    corners,
    drawn,
    read_box,
    read_segmentation,
    read_shape,
    stored_masks,
)
from data_prep.importers.shared.frames import Frame
from data_prep.importing import Picture
from data_prep.masks import pixels_of, runs_of
from tests.helpers.rle import compressed, plain

SIZE = (40, 30)
SQUARE = [3, 4, 15, 4, 15, 12, 3, 12]


def square():
    mask = np.zeros((30, 40), bool)
    mask[4:12, 3:15] = True
    return mask


def read(given, size=SIZE):
    return read_segmentation(given, size, "f.json: annotation 31")


def mask_of(given, size=SIZE):
    return drawn(read(given, size), size)


def test_a_box_of_whole_pixels_is_just_those():
    np.testing.assert_array_equal(mask_of([SQUARE]), square())
    np.testing.assert_array_equal(mask_of([list(map(str, SQUARE))]), square())  # digits


def test_a_mask_is_the_union_of_its_polygons_and_ends_at_the_picture():
    other = [10, 10, 60, 10, 60, 50, 10, 50]
    expected = square()
    expected[10:, 10:] = True
    np.testing.assert_array_equal(mask_of([SQUARE, other]), expected)
    everything = [-9, -9, 99, -9, 99, 99, -9, 99]
    assert mask_of([everything]).all()
    far = [x * 65_535 for x in (-1, -1, 1, -1, 1, 1, -1, 1)]
    assert mask_of([far]).all()
    left = [-65_535, -65_535, 20, -65_535, 20, 65_535, -65_535, 65_535]
    assert mask_of([left]).sum() == 20 * 30


def centres(polygon, size):
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    points = np.stack([x, y], -1).reshape(-1, 2)
    return points, Path(polygon).contains_points(points)


@pytest.mark.parametrize("seed", range(5))
def test_a_pixel_is_inside_as_its_centre_is(seed):
    """By exact geometry, but for centres nearer to the rim than a fifth of a pixel."""
    rng = np.random.default_rng(seed)
    angles, size = np.sort(rng.uniform(0, 2 * np.pi, 12)), (150, 170)  # over more than one band
    reach = rng.uniform(20, 95, 12)
    star = np.stack([75 + reach * np.cos(angles), 85 + reach * np.sin(angles)], 1).round(2)
    points, inside = centres(star, size)
    found = mask_of([star.ravel().tolist()], size).ravel()
    a, b = star[:, None], np.roll(star, -1, 0)[:, None]
    along = (((points - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1)).clip(0, 1)
    rim = np.linalg.norm(points - (a + along[..., None] * (b - a)), axis=-1).min(0)
    assert not (found != inside)[rim > 0.2].any()
    assert found.sum() == pytest.approx(inside.sum(), rel=0.01)


# Two outlines of an object of COCO (annotation 699602), and what COCO's API 2.0.11 makes of them.
OUTLINES = [
    [263.94, 456.21, 261.53, 424.87, 275.19, 419.25, 273.59, 448.98, 264.75, 452.99],
    [
        *(274.39, 382.29, 281.62, 349.35, 292.07, 307.57, 297.69, 294.71, 313.76, 284.27),
        *(304.92, 331.67, 297.69, 376.67, 288.85, 378.27, 285.64, 383.9, 276.8, 383.09),
    ],
]
THEIRS = (
    "XUT5<dc0>B4K01O010O10O010O010O@WOI]14K5K5L4K5L5K4L4L4L4L2N2N3M3M4L4L4N1O2N2M3N2OK5K6J5K6J5K5K"
    "6J5K5L5K4K5L5J5L4LY_W3"
)


def test_an_outline_is_drawn_as_cocos_own_api_draws_it():
    given = {"size": [640, 480], "counts": THEIRS}
    theirs = pixels_of(runs_of(given, 640, 480, ""), 640, 480)
    ours = mask_of(OUTLINES, (480, 640))
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.97
    assert theirs.sum() == pytest.approx(2079.68, rel=0.02)  # its `area`


@pytest.mark.parametrize("written", [plain, compressed])
def test_run_lengths_of_both_forms_are_read_and_kept_compressed(written):
    assert read(written(square())) == compressed(square())
    np.testing.assert_array_equal(mask_of(written(square())), square())


def test_run_lengths_of_no_picture_at_all_are_told():
    """Sides of the file, which no picture has."""
    given = {"size": [10**30, 10**30], "counts": [10**60]}
    with pytest.raises(UserError, match="not the run lengths"):
        read(given, (10**30, 10**30))


@pytest.mark.parametrize("given", [None, []])
def test_where_nothing_is_said_there_is_none(given):
    assert read(given) is None
    assert stored_masks([None], frame(1), Counter()) == [None]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (7, "segmentation 7 is neither polygons nor run lengths"),
        ("x", "segmentation 'x' is neither"),
        (True, "segmentation True is neither"),
        ([SQUARE[:-1]], r"the polygon \[3, .*\], expected \[x0, y0, x1, y1, \.\.\.\] in pixels"),
        (SQUARE, "the polygon 3, expected"),
        ([[1, 2, 3, "wide", 5, 6]], "the polygon .*'wide'"),
        ([[1, 2, 3, float("nan"), 5, 6]], "the polygon .*nan"),
        ([[1, 2, 3, 10**400, 5, 6]], "the polygon "),
        ([[1, 2, 3, 65_536, 5, 6]], "the polygon .*65536"),
        ([[1, 2, 3, True, 5, 6]], "the polygon .*True"),
        ([None], "the polygon None"),
        ({}, r'segmentation is {}; give {"size": \[h, w\], "counts"'),
        ({"size": [30, 40]}, "segmentation is "),
        ({**plain(square()), "size": [40, 30]}, r"\[h, w\] \[40, 30\], this one has \[30, 40\]"),
        ({**plain(square()), "size": "big"}, "segmentation is "),
        ({"size": [30, 40], "counts": 7}, "counts 7, which are not the run lengths of 30 x 40"),
        ({"size": [30, 40], "counts": [3]}, "not the run lengths"),
        ({"size": [30, 40], "counts": "\x01"}, "not the run lengths"),
        ({"size": [30, 40], "counts": None}, "not the run lengths"),
    ],
)
@pytest.mark.parametrize("slim", [lambda given: given, compact])
def test_what_is_neither_is_one_line_with_its_place(given, says, slim):
    with pytest.raises(UserError, match=rf"^f\.json: annotation 31: .*{says}") as error:
        read(slim(given))
    assert "\n" not in str(error.value)


def test_polygons_are_held_as_arrays():
    [points] = compact([SQUARE])
    assert (points.shape, points.dtype) == ((4, 2), np.float32)
    assert compact([SQUARE[:-1]]) == [SQUARE[:-1]]
    assert compact(plain(square())) == plain(square())
    np.testing.assert_array_equal(drawn(read(compact([SQUARE])), SIZE), square())


def frame(code, size=SIZE):
    return Frame(Picture(b"", "png", *size), code)


def stored(given, code=1, drops=None):
    drops = Counter() if drops is None else drops
    return stored_masks([read(given)], frame(code), drops)


@pytest.mark.parametrize(
    "given",
    [
        [[]],
        [[1, 2]],
        [[1, 2, 9, 9]],  # under three points
        [[50, 4, 60, 4, 60, 12]],  # beside the picture
        [[-9, -9, -1, -9, -1, -1]],
        [[3.6, 4, 3.9, 4, 3.9, 12, 3.6, 12]],  # between centres
        plain(np.zeros((30, 40), bool)),
    ],
)
def test_a_mask_without_a_pixel_of_the_picture_is_counted(given):
    drops = Counter()
    assert stored(given, drops=drops) == [None]
    assert drops == {"mask": 1}


def test_of_several_polygons_those_of_under_three_points_go():
    drops = Counter()
    assert stored([[1, 2, 9, 9], SQUARE], drops=drops) == [compressed(square())]
    assert not drops


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("as_runs", [False, True])
def test_masks_are_of_the_picture_as_stored(code, as_runs):
    """`SIZE` is stored; the square is drawn where people see it."""
    shown = np.zeros(upright_size(*SIZE, code)[::-1], bool)
    shown[4:12, 3:15] = True
    given = plain(shown) if as_runs else [SQUARE]
    found = stored_masks([read(given, frame(code).size)], frame(code), Counter())
    assert found == [compressed(turned_back(shown, code))]
    assert found[0]["size"] == [30, 40]


def test_more_than_a_record_has_room_for_is_counted(monkeypatch):
    text = compressed(square())["counts"]
    given = [read([SQUARE]), None, read([SQUARE])]
    monkeypatch.setattr(coco_objects, "MAX_MASK_CHARS", 2 * len(text))
    drops = Counter()
    assert stored_masks(given, frame(1), drops)[1:] == [None, compressed(square())]
    assert not drops
    monkeypatch.setattr(coco_objects, "MAX_MASK_CHARS", 2 * len(text) - 1)
    assert stored_masks(given, frame(1), drops) == [None] * 3
    assert drops == {"mask_large": 2}


def test_a_shape_is_read_in_place():
    row = {"bbox": ["1", 2, 3, 4], "segmentation": plain(square())}
    read_shape(row, SIZE, "here")
    assert row == {"bbox": [1, 2, 3, 4], "segmentation": compressed(square())}
    assert corners(row["bbox"]) == (1, 2, 4, 6)
    bare = {"bbox": [1, 2, 3, 4]}
    read_shape(bare, SIZE, "here")
    assert bare == {"bbox": [1, 2, 3, 4]}
    for bad in ([1, 2, 3], [1, 2, 3, float("inf")], None):
        with pytest.raises(UserError, match=r"^here: bbox .*; correct or remove that annotation"):
            read_box(bad, "here")
