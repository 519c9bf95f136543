"""An ellipse around the box, red, on the whole picture, its line as wide as the picture asks."""

import numpy as np
import PIL.Image
import pytest

from cloc.eval.extractors.red_circle import circled, extractor
from cloc.frame import pad_resize
from tests.helpers.oracle import Oracle


def drawn(width, height, box):
    grey = PIL.Image.new("RGB", (width, height), (90, 90, 90))
    [found] = circled(grey, np.array([box], np.float32))
    pixels = np.asarray(found)
    red = (pixels == (255, 0, 0)).all(-1)
    assert (pixels[~red] == 90).all()
    assert (np.asarray(grey) == 90).all()  # the picture itself stays clean
    return red


@pytest.mark.parametrize(("width", "height", "line"), [(640, 480, 5), (40, 60, 1), (900, 400, 4)])
def test_the_line_is_one_percent_of_the_shorter_side_and_lies_outside_of_the_box(
    width, height, line
):
    x0, y0, x1, y1 = box = (width // 4, height // 4, width // 2, height // 2)
    red = drawn(width, height, box)
    middle, across = red[(y0 + y1) // 2], red[:, (x0 + x1) // 2]
    assert middle.nonzero()[0].tolist() == [*range(x0 - line, x0), *range(x1, x1 + line)]
    assert across.nonzero()[0].tolist() == [*range(y0 - line, y0), *range(y1, y1 + line)]


def test_it_is_the_ellipse_of_the_box():
    red = drawn(400, 300, (100, 60, 300, 160))
    rows, columns = red.nonzero()
    # of the ellipse that is inscribed into the box: 1 on it, more outside
    at = ((columns + 0.5 - 200) / 100) ** 2 + ((rows + 0.5 - 110) / 50) ** 2
    assert 0.95 < at.min()
    assert at.max() < 1.2
    angles = np.arctan2((rows + 0.5 - 110) / 50, (columns + 0.5 - 200) / 100)
    assert np.histogram(angles, bins=36, range=(-np.pi, np.pi))[0].min() > 0  # closed


def test_a_small_thing_is_not_painted_over_and_the_border_cuts_the_line():
    red = drawn(640, 480, (10, 10, 14, 14))
    assert not red[11:13, 11:13].any()
    assert red.any()
    assert drawn(640, 480, (0, 0, 640, 480)).sum() < 640 * 480 / 4


def test_the_encoder_sees_each_box_circled_alone():
    picture = PIL.Image.new("RGB", (60, 40), (90, 90, 90))
    boxes = np.array([[5, 5, 20, 20], [30, 10, 50, 30]], np.float32)
    x, _, _ = extractor(Oracle()).prepare([picture], [boxes])
    for slot, box in enumerate(boxes):
        [shown] = circled(picture, box[None])
        assert (x[0, 1 + slot].numpy() == pad_resize(shown, 32)[0]).all()
