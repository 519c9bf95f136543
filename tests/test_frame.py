"""The frame against open_clip's own preprocessing, and boxes into it and back."""

import io

import numpy as np
import open_clip
import PIL.Image
import PIL.ImageOps
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from cloc.boxes import iou
from cloc.frame import as_rgb, into_frame, out_of_frame, pad_frame, pad_resize

SIZES = st.tuples(st.integers(1, 150), st.integers(1, 150))


def by_open_clip(image, size):
    """uint8 [size, size, 3] before the normalisation."""
    transform = open_clip.image_transform(size, is_train=False, resize_mode="longest")
    for step in transform.transforms[:-1]:
        image = step(image)
    return (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return PIL.Image.fromarray(pixels)


MODES = "1 L P RGB RGBA CMYK YCbCr LAB HSV LA PA RGBX RGBa La I;16 I;16B I;16L".split()


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_rgb_and_what_is_transparent_the_background(mode):
    found = as_rgb(PIL.Image.new(mode, (5, 3)), (1, 2, 3))
    assert (found.mode, found.size) == ("RGB", (5, 3))
    if mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        assert found.getpixel((4, 2)) == (1, 2, 3)
    assert as_rgb(PIL.Image.new("RGBA", (0, 3))).size == (0, 3)


def test_levels_are_kept_or_refused():
    sixteen = PIL.Image.fromarray(np.array([[0, 255, 256, 32768, 65535]], np.uint16))
    assert np.asarray(as_rgb(sixteen))[0, :, 1].tolist() == [0, 0, 1, 128, 255]
    for mode in ("I", "F"):
        with pytest.raises(ValueError, match=f"mode {mode}: nobody says which of its numbers"):
            as_rgb(PIL.Image.new(mode, (5, 3)))


def test_a_picture_of_many_strips_is_composed_as_one(monkeypatch):
    monkeypatch.setattr("cloc.frame._STRIP_PIXELS", 20)
    rgba = np.random.default_rng(0).integers(0, 256, (31, 7, 4), np.uint8)
    share = rgba[..., 3:] / 255
    expected = rgba[..., :3] * share + np.array([9, 8, 7]) * (1 - share)
    found = np.asarray(as_rgb(PIL.Image.fromarray(rgba), (9, 8, 7)))
    assert np.abs(found - expected).max() <= 1


@given(SIZES, st.sampled_from([16, 33, 64]))
def test_pixels_are_those_of_open_clips_longest_resize(shape, size):
    width, height = shape
    assume(round(min(shape) / (max(shape) / size)) >= 1)  # open_clip cannot resize to no pixels
    image = noise(width, height)
    pixels, frame = pad_resize(image, size)
    assert (pixels == by_open_clip(image, size)).all()
    assert frame == pad_frame(width, height, size)
    assert not pixels[: frame.top].any()  # black outside
    assert not pixels[frame.top + frame.height :].any()
    assert not pixels[:, : frame.left].any()
    assert not pixels[:, frame.left + frame.width :].any()


@given(SIZES, st.sampled_from([16, 33, 224]))
def test_the_long_side_fills_the_frame_and_the_other_is_centred(shape, size):
    frame = pad_frame(*shape, size)
    assert max(frame.width, frame.height) == size
    assert min(frame.width, frame.height) >= 1
    for start, length in ((frame.left, frame.width), (frame.top, frame.height)):
        after = size - start - length
        assert 0 <= after - start <= 1
    wanted = min(shape) / max(shape) * size
    assert abs(min(frame.width, frame.height) - max(wanted, 1)) <= 0.5 + 1e-9


def test_a_thin_line_keeps_one_pixel():
    pixels, frame = pad_resize(PIL.Image.new("RGB", (300, 1), (255, 0, 0)), 32)
    assert (frame.width, frame.height) == (32, 1)
    assert pixels[frame.top].tolist() == [[255, 0, 0]] * 32


def test_an_image_of_the_right_size_is_not_resampled():
    image = noise(64, 40)
    pixels, frame = pad_resize(image, 64)
    assert (pixels[frame.top : frame.top + 40] == np.asarray(image)).all()


@st.composite
def shapes_and_boxes(draw):
    shape = draw(st.tuples(st.integers(8, 500), st.integers(8, 500)))
    points = draw(st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=4))
    corners = np.sort(np.array(points).reshape(-1, 2, 2), axis=1)
    return shape, corners.reshape(-1, 4) * [*shape, *shape]


@given(shapes_and_boxes(), st.sampled_from([32, 224]))
def test_boxes_come_back_from_the_frame(drawn, size):
    shape, boxes = drawn
    frame = pad_frame(*shape, size)
    framed = into_frame(boxes, shape, frame)
    assert framed.dtype == np.float32
    assert (framed >= 0).all()
    assert (framed <= 1).all()
    tolerance = 1e-6 * max(shape) * max(size / frame.width, size / frame.height)
    np.testing.assert_allclose(out_of_frame(framed, shape, frame), boxes, rtol=0, atol=tolerance)


def test_the_whole_image_is_where_its_pixels_lie():
    frame = pad_frame(101, 40, 64)
    whole = into_frame(np.array([[0, 0, 101, 40]]), (101, 40), frame)[0] * 64
    assert whole.tolist() == pytest.approx(
        [frame.left, frame.top, frame.left + frame.width, frame.top + frame.height]
    )


def test_out_of_frame_clips_to_the_image():
    frame = pad_frame(100, 50, 64)
    everything = out_of_frame(np.array([[0, 0, 1, 1]]), (100, 50), frame)
    assert everything.tolist() == [[0, 0, 100, 50]]


@pytest.mark.parametrize("shape", [(90, 61), (37, 120), (64, 64)])
def test_a_framed_box_lies_on_its_pixels(shape):
    """White where the box is: its bright pixels in the frame fill the framed box."""
    width, height = shape
    box = np.array([[width // 4, height // 3, width // 4 + 20, height // 3 + 25]])
    x0, y0, x1, y1 = box[0]
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[y0:y1, x0:x1] = 255
    pixels, frame = pad_resize(PIL.Image.fromarray(canvas), 224)
    rows, columns = (pixels[..., 0] > 127).nonzero()
    drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    framed = into_frame(box, shape, frame)
    assert iou(torch.tensor(drawn)[None] / 224, torch.from_numpy(framed)).item() > 0.95


@pytest.mark.parametrize("size", [(48, 80), (80, 48)])
@pytest.mark.parametrize("shape", [(100, 40), (40, 100), (77, 77)])
def test_a_frame_that_is_no_square_is_open_clips_too(shape, size):
    rng = np.random.default_rng(0)
    image = PIL.Image.fromarray(rng.integers(0, 256, (*shape, 3), np.uint8))
    pixels, frame = pad_resize(image, size)
    assert pixels.shape == (*size, 3)
    assert (pixels == by_open_clip(image, size)).all()
    boxes = np.array([[0, 0, *image.size], [3, 4, 10, 20]], np.float32)
    framed = into_frame(boxes, image.size, frame)
    whole = framed[0] * np.array([size[1], size[0]] * 2)
    left, top = frame.left, frame.top
    np.testing.assert_allclose(whole, [left, top, left + frame.width, top + frame.height])
    np.testing.assert_allclose(out_of_frame(framed, image.size, frame), boxes, atol=1e-4)


def test_the_grey_of_16_bits_that_is_transparent_shows_the_background():
    values = np.array([[0x1234, 0x1235], [0, 65535]], np.uint16)
    file = io.BytesIO()
    PIL.Image.fromarray(values).save(file, "PNG", transparency=0x1234)
    image = PIL.Image.open(file)
    assert image.mode == "I;16"
    shown = np.asarray(as_rgb(image, (10, 20, 30)))
    assert shown.tolist() == [[[10, 20, 30], [0x12] * 3], [[0] * 3, [255] * 3]]
