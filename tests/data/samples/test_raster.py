"""Pictures as geometry: the pixels are Pillow's, whatever was cut, mirrored and scaled."""

import io

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloc.data.samples import raster
from cloc.data.samples.image_header import read_header
from cloc.data.samples.orientation import CODES, turned
from cloc.data.samples.raster import from_header, from_pixels
from cloc.frame import pad_frame
from tests.helpers.photos import MINI, NEEDS_MINI

FIXED = settings(max_examples=60, deadline=None)


def encoded(image, format="JPEG", **given):
    file = io.BytesIO()
    image.save(file, format, **given)
    return file.getvalue()


def picture(data):
    return from_header(read_header(data, "here"), "here")


def noise(width, height, seed=0, *, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (height, width, 3), np.uint8)


def by_pillow(image, size, box=None, *, mirrored=False):
    """Whole decoding, cut, antialiased bicubic, mirror: int [h, w, 3]."""
    image = image.convert("RGB")
    image = image.crop(box) if box else image
    image = image.resize(size, PIL.Image.Resampling.BICUBIC)
    if mirrored:
        image = image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(image).astype(int)


def landscape(width=640, height=426):
    """Soft shapes with an edge and some texture, as photographs have."""
    y, x = np.mgrid[:height, :width] / 640
    waves = np.stack([np.sin(9 * x + 4 * y), np.cos(13 * y - 3 * x), np.sin(31 * x * y)], -1)
    waves[int(height * 0.6) :] *= 0.4
    grain = np.random.default_rng(0).normal(0, 0.03, waves.shape)
    return PIL.Image.fromarray(((waves + grain).clip(-1, 1) * 127 + 128).astype(np.uint8))


@st.composite
def shapes(draw):
    """(width, height), the size wanted, and whether it is mirrored."""
    return (
        (draw(st.integers(1, 90)), draw(st.integers(1, 90))),
        (draw(st.integers(1, 70)), draw(st.integers(1, 70))),
        draw(st.booleans()),
    )


@FIXED
@given(shapes())
def test_pixels_are_within_two_levels_of_pillows_where_noise_does_not_overshoot(shape):
    size, wanted, mirrored = shape
    pixels = noise(*size, low=64, high=192)
    ours = from_pixels(pixels)
    ours = (ours.mirror() if mirrored else ours).pixels(*wanted)
    expected = by_pillow(PIL.Image.fromarray(pixels), wanted, mirrored=mirrored)
    assert np.abs(ours - expected).max() <= 2


@FIXED
@given(st.integers(0, 2**32), st.booleans())
def test_a_part_is_what_was_cut_from_what_was_seen(seed, mirrored):
    """Cut, mirrored and cut again, in any order, against slices of an array."""
    rng = np.random.default_rng(seed)
    seen = noise(50, 40)
    shown = from_pixels(seen)
    for _ in range(3):
        if rng.random() < 0.5:
            seen, shown = seen[:, ::-1], shown.mirror()
        left, top = (int(rng.integers(0, side - 3)) for side in shown.size)
        width = int(rng.integers(1, shown.width - left + 1))
        height = int(rng.integers(1, shown.height - top + 1))
        if min(width, height) < 4:
            continue
        seen = seen[top : top + height, left : left + width]
        shown = shown.cut(left, top, width, height)
    assert shown.size == (seen.shape[1], seen.shape[0])
    assert (shown.pixels(*shown.size) == seen).all()
    assert (shown.drawn().pixels(*shown.size) == seen).all()


@pytest.mark.parametrize(("format", "mode"), [("PNG", "RGB"), ("PNG", "P"), ("WEBP", "RGB")])
def test_an_image_of_the_right_size_is_not_touched(format, mode):
    image = PIL.Image.fromarray(noise(64, 64)).convert(mode)
    data = encoded(image, format)
    expected = np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB"))
    assert (picture(data).pixels(64, 64) == expected).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("form", [{"subsampling": 0}, {"subsampling": 2}, {"progressive": True}])
def test_a_whole_jpeg_has_pillows_pixels(mode, form):
    data = encoded(landscape(161, 93).convert(mode), **form)
    expected = by_pillow(PIL.Image.open(io.BytesIO(data)), (161, 93))
    assert (picture(data).pixels(161, 93) == expected).all()


SIZES = (64, 96, 128, 160, 224, 256, 288, 336, 512)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(640, 427), (427, 640), (501, 375), (1283, 851)])
def test_a_scaled_jpeg_is_close_to_the_reference(shape, size):
    assert difference(encoded(landscape(*shape), quality=90), size) <= 2


@NEEDS_MINI
@pytest.mark.parametrize("size", SIZES)
def test_photographs_are_within_two_levels_of_the_reference_on_average(size):
    paths = sorted((MINI / "train2017").glob("*.jpg"))[:24]
    found = [difference(path.read_bytes(), size) for path in paths]
    assert found
    assert np.mean(found) <= 2


def difference(data, size):
    """Mean absolute difference in levels of 255, the long side brought to `size`."""
    image = PIL.Image.open(io.BytesIO(data))
    frame = pad_frame(*image.size, size)
    ours = picture(data).pixels(frame.width, frame.height)
    return np.abs(ours - by_pillow(image, (frame.width, frame.height))).mean()


@pytest.mark.parametrize("box", [(0, 0, 320, 213), (101, 51, 430, 380), (3, 200, 640, 427)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_part_of_a_scaled_jpeg_is_close_to_the_reference(box, mirrored):
    """Also one that begins between the decoder's pixels."""
    data = encoded(landscape(640, 427), quality=95)
    x0, y0, x1, y1 = box
    if mirrored:
        shown = picture(data).mirror().cut(640 - x1, y0, x1 - x0, y1 - y0)
    else:
        shown = picture(data).cut(x0, y0, x1 - x0, y1 - y0)
    expected = by_pillow(PIL.Image.open(io.BytesIO(data)), (96, 96), box, mirrored=mirrored)
    assert np.abs(shown.pixels(96, 96) - expected).mean() <= 1.2


@pytest.mark.parametrize(
    ("shape", "size", "eighths"),
    [
        ((640, 480), (224, 168), 4),
        ((640, 480), (321, 240), 8),
        ((640, 480), (160, 120), 2),
        ((640, 480), (79, 59), 2),
        ((640, 480), (53, 40), 1),
        ((4000, 3000), (224, 168), 1),
        ((100, 80), (224, 179), 8),
        ((7, 3), (1, 1), 8),
    ],
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_suffices(shape, size, eighths, monkeypatch):
    asked = []

    def record(header, eighths, *rest, decode_at=raster.decode_at):
        asked.append(eighths)
        return decode_at(header, eighths, *rest)

    monkeypatch.setattr(raster, "decode_at", record)
    picture(encoded(PIL.Image.new("RGB", shape))).pixels(*size)
    assert asked == [eighths]


def test_a_large_png_is_resampled_without_a_copy_to_the_same_pixels():
    pixels = np.tile(noise(40, 35), (60, 50, 1))
    image = PIL.Image.fromarray(pixels)
    box = (101, 50, 1900, 2000)
    shown = picture(encoded(image, "PNG", compress_level=1)).cut(101, 50, 1799, 1950)
    ours = shown.pixels(64, 70)
    assert np.abs(ours - by_pillow(image, (64, 70), box)).mean() < 0.5


def test_what_is_drawn_already_is_not_drawn_again():
    shown = from_pixels(noise(8, 8))
    assert shown.drawn() is shown
    assert isinstance(shown.mirror().drawn().source, np.ndarray)


@pytest.mark.parametrize("code", CODES)
def test_a_turned_picture_is_cut_mirrored_and_scaled_as_it_is_seen(code):
    """At a fraction of the stored size, too; within what the decoder's scaling differs by."""
    data = encoded(landscape(), quality=95)
    whole = PIL.Image.fromarray(turned(np.asarray(PIL.Image.open(io.BytesIO(data))), code))
    seen = from_header(read_header(data, "here"), "here", code=code)
    assert seen.size == whole.size
    part = seen.cut(40, 24, 320, 240).mirror()
    for size in ((320, 240), (100, 80), (40, 60)):
        expected = by_pillow(whole, size, (40, 24, 360, 264), mirrored=True)
        assert np.abs(part.pixels(*size).astype(int) - expected).mean() < 2
    assert (seen.drawn().pixels(*seen.size) == by_pillow(whole, whole.size)).all()
