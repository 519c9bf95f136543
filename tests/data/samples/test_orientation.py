"""The EXIF orientation of pictures of every kind, also of damaged ones, and turning by it."""

import io

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from cloc.data.samples.orientation import (
    CODES,
    code_of,
    orientation,
    to_stored,
    to_upright,
    turned,
    turned_back,
    upright,
    upright_size,
)
from tests.helpers.shards import flat
from tests.test_frame import noise


def encoded(format, code=None):
    exif = PIL.Image.Exif()
    if code is not None:
        exif[0x0112] = code
    file = io.BytesIO()
    PIL.Image.fromarray(flat(10, 6)).save(file, format, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_the_code_is_read_from_every_kind_of_file(format):
    assert [orientation(encoded(format, code)) for code in CODES] == list(CODES)
    assert [orientation(encoded(format, code)) for code in (0, 9, None)] == [1, 1, 1]


def test_a_code_in_a_text_is_read_as_pillow_reads_it():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="8"/></x:xmpmeta>'
    file = io.BytesIO()
    PIL.Image.fromarray(flat(10, 6)).save(file, "JPEG", xmp=xmp)
    assert orientation(file.getvalue()) == 8


def test_where_it_is_damaged_the_picture_is_as_stored():
    whole = encoded("JPEG", 6)
    at = whole.index(b"Exif\0\0") + 6
    for damage in (b"XX", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"):
        assert orientation(whole[:at] + damage + whole[at + len(damage) :]) in CODES
    assert orientation(b"Exif\0\0 and nothing else") == 1


def tagged(image, code):
    exif, file = PIL.Image.Exif(), io.BytesIO()
    exif[0x0112] = code
    image.save(file, "PNG", exif=exif)
    return PIL.Image.open(file)


@pytest.mark.parametrize("code", CODES)
def test_pixels_and_boxes_are_turned_as_pillow_turns_them(code):
    stored = noise(10, 6)
    image = tagged(stored, code)
    expected = np.asarray(PIL.ImageOps.exif_transpose(image))
    shown = turned(np.asarray(stored), code)
    assert (shown == expected).all()
    assert (np.asarray(upright(image)) == expected).all()
    height, width, _ = shown.shape
    assert upright_size(10, 6, code) == (width, height)
    boxes = np.array([[1, 2, 4, 3], [0, 0, width, height]])
    for box, (x0, y0, x1, y1) in zip(boxes, to_stored(boxes, 10, 6, code).astype(int), strict=True):
        part = turned(np.asarray(stored)[y0:y1, x0:x1], code)
        assert (part == shown[box[1] : box[3], box[0] : box[2]]).all()
    assert (to_upright(to_stored(boxes, 10, 6, code), 10, 6, code) == boxes).all()


def test_a_picture_is_turned_once_whatever_is_made_of_it():
    image = tagged(noise(10, 6), 6)
    shown = upright(image.convert("RGB"))  # which carries the code along
    assert code_of(image) == code_of(image.convert("RGB")) == 6
    assert shown.size == (6, 10)
    for later in (shown, shown.crop((0, 0, 3, 2)), shown.convert("L")):
        assert upright(later) is later
    plain = noise(10, 6)
    assert upright(plain) is plain
    odd = tagged(plain, 9)
    assert upright(odd) is odd


def test_a_box_that_is_wrong_stays_wrong():
    boxes = np.array([[4, 3, 1, 2], [np.nan, 0, 1, 1], [3, 3, 3, 5]])
    for code in CODES:
        found = to_stored(boxes, 10, 6, code)
        assert (found[0, :2] > found[0, 2:]).all()
        assert np.isnan(found[1]).sum() == 1
        assert ((found[2, 2:] - found[2, :2]) == 0).sum() == 1


@pytest.mark.parametrize("code", CODES)
def test_pixels_are_turned_back(code):
    pixels = np.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(turned_back(turned(pixels, code), code), pixels)
    np.testing.assert_array_equal(turned(turned_back(pixels, code), code), pixels)
