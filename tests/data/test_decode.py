"""Decoding: the allowlist, caps from the header, and messages that name shard and key."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from cloc.data.decode import (
    decode_image,
    decode_record,
    image_member,
    image_size,
    is_wanted,
    origin,
)
from cloc.data.record import Record
from cloc.errors import UserError
from tests.helpers.shards import encode, flat

RAW = {"__key__": "007", "__url__": "a/b.tar"}


@pytest.mark.parametrize("name", ["a.jpg", "d/a.JPEG", "a.png", "a.webp", "a.json", "d.x/a.txt"])
def test_the_allowlist_reads(name):
    assert is_wanted(name)


@pytest.mark.parametrize(
    "name", ["a.pkl", "a.pyd", "a.pth", "a.seg.jpg", "a.jpg.gz", "a.json.pkl", "jpg", "x.jpg/a"]
)
def test_everything_else_in_a_shard_is_never_read(name):
    assert not is_wanted(name)


def test_origin_is_shard_and_key():
    assert origin(RAW) == "a/b.tar::007"


def test_image_member_says_jpg_for_jpeg():
    assert image_member({**RAW, "jpeg": b"x", "json": b""}) == (b"x", "jpg")


@pytest.mark.parametrize("members", [{}, {"jpg": b"x", "png": b"y"}])
def test_there_must_be_exactly_one_image(members):
    with pytest.raises(UserError, match=rf"^a/b.tar::007: {len(members)} images"):
        image_member({**RAW, **members})


@pytest.mark.parametrize("format", ["PNG", "WEBP", "JPEG"])
def test_decodes_rgb_of_the_right_size(format):
    image = decode_image(encode(flat(30, 20, (200, 40, 10)), format), "here")
    assert (image.mode, image.size) == ("RGB", (30, 20))
    assert np.abs(np.asarray(image).astype(int) - (200, 40, 10)).max() < 8
    assert image_size(encode(flat(30, 20), format), "here") == (30, 20)


def test_exif_orientation_is_ignored():
    file, exif = io.BytesIO(), PIL.Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees"
    PIL.Image.fromarray(flat(30, 20)).save(file, "JPEG", exif=exif)
    assert decode_image(file.getvalue(), "here").size == (30, 20)


def test_palette_with_transparency_is_rgb_without_a_warning():
    file = io.BytesIO()
    image = PIL.Image.fromarray(flat(8, 8, (255, 0, 0))).quantize(4)
    image.save(file, "PNG", transparency=b"\x80\xff")
    assert np.asarray(decode_image(file.getvalue(), "here"))[0, 0].tolist() == [255, 0, 0]


def png_of_size(width: int, height: int, mode: int = 2) -> bytes:
    """The header of a PNG that claims to be this large, without its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, mode, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


@pytest.mark.parametrize("side", [5001, 10_000, 60_000])  # Pillow warns at the second
def test_the_cap_is_read_from_the_header(side):
    with pytest.raises(UserError, match=rf"^here: {side}x{side} pixels, at most"):
        decode_image(png_of_size(side, side), "here")


def gif() -> bytes:
    return encode(flat(4, 4), "GIF")


def sixteen_bits() -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an image of JPEG, PNG, WEBP"),
        (b"<html>not found</html>", "not an image of JPEG, PNG, WEBP"),
        (gif(), "not an image of JPEG, PNG, WEBP"),
        (sixteen_bits(), "expected 8 bits"),
        (encode(flat(60, 60), "JPEG")[:-60], "cannot be decoded"),
        (png_of_size(4, 4), "cannot be decoded"),
    ],
    ids=["empty", "html", "gif", "16 bits", "cut", "no pixels"],
)
def test_a_bad_image_is_one_line_naming_where(data, words):
    with pytest.raises(UserError, match=rf"^here: .*{words}") as error:
        decode_image(data, "here")
    assert "\n" not in str(error.value)


def test_a_size_other_than_the_annotated_one_is_refused():
    record = Record("k", encode(flat(30, 20)), "png", width=20, height=30)
    with pytest.raises(UserError, match=r"^a.tar::k: annotated as 20x30 but the image is 30x20"):
        decode_record(record, "a.tar::k")
