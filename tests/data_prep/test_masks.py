"""Masks of records: both forms of COCO's run lengths, turned upright, and what is none."""

import numpy as np
import pytest

from cloc.data.samples.orientation import turned
from cloc.data.samples.record import Record, Region
from cloc.errors import UserError
from data_prep.masks import compressed as compressed_runs
from data_prep.masks import masks_of, pixels_of, run_lengths, runs_of
from tests.helpers.rle import compressed, plain, runs


def record(*masks, size=(30, 20), orientation=1):
    regions = tuple(Region((0, 0, 5, 5), "x") for _ in masks)
    return Record(
        "key", b"", "png", *size, regions=regions, meta={"masks": list(masks)},
        orientation=orientation,
    )  # fmt: skip


def random_masks(count, size=(30, 20)):
    rng = np.random.default_rng(0)
    width, height = size
    found = [rng.random((height, width)) < share for share in np.linspace(0, 1, count)]
    blob = np.zeros((height, width), bool)
    blob[4:17, 3:25] = True
    return [*found, blob]


@pytest.mark.parametrize("written", [plain, compressed])
@pytest.mark.parametrize("size", [(30, 20), (400, 300)])
def test_there_and_back(written, size):
    masks = random_masks(6, size)
    found = masks_of(record(*map(written, masks), size=size))
    for mask, read in zip(masks, found, strict=True):
        assert read.dtype == bool
        np.testing.assert_array_equal(read, mask)


def test_a_mask_that_others_wrote():
    """From the description of COCO's format: two pixels of the second column of a 3 x 3 picture."""
    (mask,) = masks_of(record({"size": [3, 3], "counts": "423"}, size=(3, 3)))
    assert mask.nonzero()[0].tolist() == [1, 2]
    assert mask.nonzero()[1].tolist() == [1, 1]


# What COCO's API 2.0.11 writes for it.
THEIRS = "01h4`0eK00000000DG39MG39MG39MG39MG3990000000000000000000000000000\\5DPK0000000"


def test_run_lengths_are_written_as_cocos_own_api_writes_them():
    mask = np.zeros((30, 40), bool)
    mask[3:20, 5:30] = mask[0, 0] = mask[25:, 35:] = True
    mask[8:12, 10:15] = False
    assert run_lengths(mask) == {"size": [30, 40], "counts": THEIRS}
    np.testing.assert_array_equal(pixels_of(runs_of(run_lengths(mask), 30, 40, ""), 30, 40), mask)


@pytest.mark.parametrize("size", [(30, 20), (400, 300), (1, 1), (3000, 2)])
def test_what_is_written_is_read(size):
    """Against an encoder of its own rules; long runs and large differences take more letters."""
    for mask in random_masks(6, size) if size[0] > 25 else np.array([[[True]], [[False]]]):
        assert run_lengths(mask) == compressed(mask)
        assert runs_of(run_lengths(mask), *mask.shape, "") == runs(mask)
    given = [70_000, 1, 65_535**2, 2, 1, 90_000]
    text = {"size": [1, sum(given)], "counts": compressed_runs(given)}
    assert runs_of(text, 1, sum(given), "") == given


@pytest.mark.parametrize("code", range(1, 9))
def test_masks_are_shown_upright(code):
    mask = random_masks(3)[1]
    (found,) = masks_of(record(plain(mask), orientation=code))
    np.testing.assert_array_equal(found, turned(mask, code))


def test_a_region_may_have_none_and_so_may_all():
    mask = random_masks(1)[-1]
    assert masks_of(record(None, plain(mask)))[0] is None
    bare = Record("key", b"", "png", 30, 20, regions=(Region((0, 0, 5, 5), "x"),))
    assert masks_of(bare) == [None]


MASK = plain(random_masks(1)[-1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({**MASK, "size": [30, 20]}, r"masks\[0\] is of a picture with \[h, w\] \[30, 20\], this"),
        ({**MASK, "size": "x"}, r'masks\[0\] is .*; give {"size"'),
        ([1], r"masks\[0\] is \[1\]"),
        ({"size": [20, 30]}, r"masks\[0\] is "),
        ({**MASK, "counts": [1, 2]}, "not the run lengths of 20 x 30 pixels; give COCO's RLE"),
        ({**MASK, "counts": [-1, 601]}, "not the run lengths"),
        ({**MASK, "counts": [True, 599]}, "not the run lengths"),
        ({**MASK, "counts": "  "}, "not the run lengths"),
        ({**MASK, "counts": "o"}, "not the run lengths"),  # it says that more follows
        ({**MASK, "counts": "o" * 10_000_000}, "not the run lengths"),  # read to its end: hours
        ({**MASK, "counts": [10**60]}, "not the run lengths"),
        ({**MASK, "counts": 7}, "not the run lengths"),
    ],
)
def test_what_is_no_mask_of_the_picture_is_one_line(given, message):
    with pytest.raises(UserError, match=message) as error:
        masks_of(record(given))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("given", [[], [None, None], "x", {}])
def test_masks_are_one_for_each_region(given):
    one = Record(
        "key", b"", "png", 30, 20, regions=(Region((0, 0, 5, 5), "x"),), meta={"masks": given}
    )
    with pytest.raises(UserError, match=r"^record key: meta.masks has .* for 1 regions, expected"):
        masks_of(one)
