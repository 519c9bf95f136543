"""The margin is a share of the box's own sides, cut at the border."""

import numpy as np
import PIL.Image
import pytest

from cloc.errors import UserError
from cloc.eval.extractors.crop_context import extractor
from tests.helpers.oracle import Oracle


def ramp():
    """Red is the column, green the row."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(60), np.arange(40)[:, None]
    return PIL.Image.fromarray(pixels)


def limits(box, **options):
    [found] = extractor(Oracle(), **options).views(ramp(), np.array([box], np.float32))
    pixels = np.asarray(found)
    (x0, y0), (x1, y1) = pixels[0, 0, :2].tolist(), pixels[-1, -1, :2].tolist()
    return x0, y0, x1 + 1, y1 + 1


def test_a_box_grows_by_half_of_its_sides_on_each_of_them():
    assert limits((20, 16, 30, 20)) == (15, 14, 35, 22)
    assert limits((20, 16, 30, 20), share=1.0) == (10, 12, 40, 24)
    assert limits((20, 16, 30, 20), share=0.0) == (20, 16, 30, 20)


def test_the_margin_ends_at_the_border():
    assert limits((0, 30, 20, 40)) == (0, 25, 30, 40)


@pytest.mark.parametrize("share", [-0.1, float("inf"), float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(UserError, match=r"crop_context: share=.*0 or more"):
        extractor(Oracle(), share=share)
