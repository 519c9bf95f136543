"""The raster of pasted things: shapes that fit, overlap both ways, settings that are refused."""

import itertools

import pytest

from cloc.errors import UserError
from data_prep.pasting.raster import ENLARGED, STRETCHED, overlaps, raster

SIZES = [[0.3, 0.9], [0.2, 0.6], [0.1, 0.5]]


def lines(size=64, grid=16, sizes=SIZES, least=1, most=3):
    return raster(size, grid, sizes=sizes, at_least=least, at_most=most)


def test_the_longer_side_is_in_the_range_of_its_count():
    for count, (low, high) in enumerate(SIZES, 1):
        longest = [max(shape) / 16 for shape in lines().shapes(100, 70, count=count)]
        assert longest
        assert low <= min(longest) <= max(longest) <= high
    assert lines().steps(1) == range(5, 15)


@pytest.mark.parametrize("size", [(100, 100), (100, 30), (21, 90), (400, 13), (7, 9)])
def test_no_thing_is_stretched_or_enlarged_beyond_the_bounds(size):
    found = lines().shapes(*size, count=3)
    for wide, high in found:
        stretch = (wide / high) / (size[0] / size[1])
        assert 1 / STRETCHED <= stretch <= STRETCHED
        assert max(wide, high) * 4 <= ENLARGED * max(size)
    assert len(found) == len(set(found))


def test_a_thing_that_is_too_small_for_the_range_has_no_shape():
    assert lines().shapes(9, 9, count=1) == []
    assert lines().shapes(10, 10, count=1) == [(5, 5)]  # 20 pixels, twice its own
    assert lines().shapes(9, 9, count=2) == [(4, 4)]


def test_overlap_counts_of_the_smaller_one_whichever_comes_first():
    cells = range(6)
    boxes = [
        (x, y, x + w, y + h) for x, y, w, h in itertools.product(cells, (0, 2), (1, 2, 4), (2, 3))
    ]
    for a, b in itertools.product(boxes, boxes):
        one, other = (
            {(x, y) for x in range(c[0], c[2]) for y in range(c[1], c[3])} for c in (a, b)
        )
        both = len(one & other)
        assert overlaps(a, b) == (both > len(one) / 2 or both > len(other) / 2)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"size": 16}, r"size=16: pictures have 32 to 1024"),
        ({"grid": 15}, r"grid=15: size=64 must be a multiple"),
        ({"grid": 1}, r"grid=1: size=64"),
        ({"sizes": [[0.5, 0.2]]}, r"sizes=\[\[0\.5, 0\.2\]\]: give \[smallest, largest\]"),
        ({"sizes": [[0.5, 1.2]]}, r"sizes=.*as shares of the side"),
        ({"sizes": "big", "most": 1}, r"sizes='big': give"),
        ({"sizes": [0.1, 0.2]}, r"sizes=\[0\.1, 0\.2\]: give"),
        ({"most": 4}, r"objects_at_least=1 and objects_at_most=4: give 1 or more, and at most 3"),
        ({"least": 0}, r"objects_at_least=0 and"),
        ({"least": 3, "most": 2}, r"objects_at_least=3 and objects_at_most=2"),
        ({"sizes": [[0.01, 0.05]], "most": 1}, r"no whole number of cells of grid=16"),
    ],
)
def test_settings_that_make_no_picture_are_refused(given, says):
    with pytest.raises(UserError, match=says) as error:
        lines(**given)
    assert "\n" not in str(error.value)
