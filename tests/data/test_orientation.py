"""The EXIF orientation of encoded pictures of every kind, also of damaged ones."""

import io

import PIL.Image
import pytest

from cloc.data.orientation import orientation
from cloc.frame import CODES
from tests.helpers.shards import flat


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
