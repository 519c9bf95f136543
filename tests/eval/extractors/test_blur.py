"""Sharp inside of the box, a Gaussian outside, of the same strength at every resolution."""

import numpy as np
import PIL.Image
import pytest

from cloc.eval.extractors.blur import SIGMA, blurred, extractor
from cloc.frame import pad_resize
from tests.helpers.oracle import Oracle

BOX = np.array([[20.2, 10.4, 44.6, 30]], np.float32)


def noise(height=60, width=80):
    rng = np.random.default_rng(0)
    return PIL.Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def gaussian_of_columns(pixels, sigma):
    """By definition, of a picture whose rows are alike, its border repeated."""
    columns = pixels[0].astype(float)
    reach = int(4 * sigma)
    padded = np.pad(columns, ((reach, reach), (0, 0)), mode="edge")
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    rows = [np.convolve(padded[:, c], kernel, mode="valid") for c in range(3)]
    return np.stack(rows, 1)


def test_the_box_is_sharp_and_the_rest_is_not():
    image = noise()
    [found] = blurred(image, BOX)
    inside = np.zeros((60, 80), bool)
    inside[10:30, 20:45] = True
    same = (np.asarray(found) == np.asarray(image)).all(-1)
    assert same[inside].all()
    assert same[~inside].mean() < 0.01


@pytest.mark.parametrize("width", [320, 640, 1280])
def test_outside_is_the_gaussian_of_100_pixels_at_640(width):
    assert SIGMA * 640 == 100
    pixels = np.zeros((width // 2, width, 3), np.uint8)
    pixels[:, : width // 3] = (200, 120, 40)
    [found] = blurred(PIL.Image.fromarray(pixels), np.array([[0, 0, 2, 2]], np.float32))
    expected = gaussian_of_columns(pixels, 100 * width / 640)
    # three box blurs stand for the Gaussian in Pillow: within 2 % of the step
    assert np.abs(np.asarray(found)[-1].astype(float) - expected).max() < 0.02 * 200


def test_every_box_has_a_picture_of_its_own_and_transparency_shows_white():
    image = noise()
    boxes = np.array([[0, 0, 20, 20], [40, 30, 80, 60]], np.float32)
    both, alone = list(blurred(image, boxes)), list(blurred(image, boxes[1:]))
    assert (np.asarray(both[1]) == np.asarray(alone[0])).all()
    assert (np.asarray(both[1])[:20, :20] != np.asarray(image)[:20, :20]).any()
    clear = PIL.Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    [shown] = blurred(clear, boxes[:1])
    assert np.asarray(shown).min() == 255


def test_the_encoder_sees_the_blurred_picture_in_its_own_frame():
    x, _, _ = extractor(Oracle()).prepare([noise()], [BOX])
    [shown] = blurred(noise(), BOX)
    assert (x[0, 1].numpy() == pad_resize(shown, 32)[0]).all()
    assert (x[0, 0].numpy() == pad_resize(noise(), 32)[0]).all()
