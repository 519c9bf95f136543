"""Headers: the size without decoding, and no picture that claims more than it can hold."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from cloc.data.samples.image_header import MAX_PARTS, _scans, read_header
from cloc.errors import BadSample
from tests.helpers.photos import MINI, NEEDS_MINI
from tests.helpers.shards import encode, flat

PHOTO_LIKE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def encoded(image, format, **settings):
    file = io.BytesIO()
    image.save(file, format, **settings)
    return file.getvalue()


def jpeg(width, height, mode="RGB", **settings):
    return encoded(PIL.Image.new(mode, (width, height)), "JPEG", **settings)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *, bits=8, colours=2, extra=b"", stored=0):
    """A PNG that claims these things; its pixels are missing, `stored` bytes are in their place."""
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    pixels = chunk(b"IDAT", bytes(stored))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + pixels + chunk(b"IEND", b"")


def sizes(kind):
    header = read_header(kind, "here")
    return header.kind, header.width, header.height


@pytest.mark.parametrize("settings", [{}, {"lossless": True}, {"exif": PIL.Image.Exif()}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_size_of_a_webp(mode, settings):
    image = PIL.Image.new(mode, (301, 17))
    if mode == "RGBA":
        image.putalpha(100)  # the extended form
    assert sizes(encoded(image, "WEBP", **settings)) == ("webp", 301, 17)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1"])
def test_the_size_of_a_png(mode):
    assert sizes(encoded(PIL.Image.new(mode, (301, 17)), "PNG")) == ("png", 301, 17)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"progressive": True},
        {"subsampling": 0},
        {"keep_rgb": True},
        {"comment": b"\xff\xda" * 9},
    ],
)
def test_the_size_of_a_jpeg(settings):
    assert sizes(jpeg(301, 17, **settings)) == ("jpeg", 301, 17)
    assert read_header(jpeg(301, 17, **settings), "here").scales


def test_fill_bytes_before_a_segment_are_passed_over():
    data = jpeg(30, 20)
    assert sizes(data[:2] + b"\xff\xff\xff" + data[2:]) == ("jpeg", 30, 20)


def test_four_channels_and_odd_samplings_are_left_to_pillow():
    assert not read_header(jpeg(30, 20, "CMYK"), "here").scales
    data = bytearray(jpeg(30, 20))
    at = data.index(b"\xff\xc0") + 2 + 8  # its first component
    data[at + 1] = 0x31
    assert not read_header(bytes(data), "here").scales


@NEEDS_MINI
def test_no_photograph_is_refused_whatever_its_form():
    paths = sorted((MINI / "train2017").glob("*.jpg"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        with PIL.Image.open(path) as image:
            assert sizes(data) == ("jpeg", *image.size)
    image = PIL.Image.open(paths[0]).convert("RGB").resize((2600, 1714))
    for form in (
        encoded(image, "JPEG", quality=20, progressive=True),
        encoded(image, "WEBP", quality=20),
        encoded(image, "PNG", compress_level=1),
    ):
        assert sizes(form)[1:] == (2600, 1714)


def test_a_flat_drawing_of_the_free_size_is_believed():
    assert sizes(encoded(PIL.Image.new("RGB", (1440, 1440)), "PNG")) == ("png", 1440, 1440)
    assert sizes(jpeg(2000, 2000)) == ("jpeg", 2000, 2000)


def scans(count):
    """A progressive JPEG of a megapixel whose last scan comes `count` times."""
    data = jpeg(1000, 1000, progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * count + b"\xff\xd9"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(5001, 5001, stored=10_000_000), "at most 25,000,000"),
        (png(1501, 1500, stored=130_000), "decoded bytes per stored byte, at most 50"),
        (encoded(PIL.Image.new("RGB", (2001, 2000)), "WEBP"), "stored byte, at most 200"),
        (png(3970, 3970, stored=10_000_000), "63,043,600 bytes to decode, at most 62,914,560"),
        (png(2900, 2900, colours=3, stored=10_000_000), "67,280,000 bytes to decode"),
        (encoded(PIL.Image.new("RGB", (2100, 2100)), "WEBP"), "per stored byte"),
        (jpeg(2300, 2300, progressive=True), "per stored byte"),
        (jpeg(3000, 3000, "CMYK", quality=100), "72,000,000 bytes to decode"),
        (scans(200), "per stored byte"),
        (png(8, 8, extra=chunk(b"gAMA", bytes(4)) * MAX_PARTS), "chunks"),
    ],
    ids=[
        "all",
        "ratio",
        "webp ratio",
        "memory",
        "palette",
        "webp",
        "progressive",
        "cmyk",
        "scans",
        "chunks",
    ],
)
def test_what_claims_too_much_is_a_bomb(data, words):
    with pytest.raises(BadSample, match=rf"^here: .*{words}") as error:
        read_header(data, "here")
    assert error.value.reason == "bomb"


def test_a_progressive_jpeg_counts_the_memory_of_its_coefficients():
    """Two bytes each: 4:4:4 has three a pixel."""
    image = PIL.Image.fromarray(np.tile(PHOTO_LIKE, (114, 85, 1))[:3400])
    fits = encoded(image, "JPEG", quality=1, progressive=True, subsampling=2)
    assert sizes(fits)[1:] == (3400, 3400)
    with pytest.raises(BadSample, match=r"69,360,000 bytes to decode"):
        read_header(encoded(image, "JPEG", quality=1, progressive=True, subsampling=0), "here")


def test_a_sequential_jpeg_of_many_scans_counts_as_a_progressive_one():
    """libjpeg holds the coefficients of every JPEG whose first scan has not all channels."""
    data = bytearray(jpeg(1200, 1200))
    at = data.index(b"\xff\xda")
    single = bytes(data[:at]) + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x00" * 20
    with pytest.raises(BadSample, match="per stored byte"):
        read_header(single + single[at:] * 400, "here")


def behind(data, count):
    """Bytes behind the picture."""
    return data + bytes(count)


def beside(data, count):
    """Bytes in a part of the file that is not the picture: a comment, a chunk nobody knows."""
    if data[:2] == b"\xff\xd8":
        at, part = 2, b"\xff\xfe\xff\xff" + bytes(65533)
        return data[:at] + part * -(-count // 65537) + data[at:]
    if data[:4] == b"RIFF":
        body = data + b"PADD" + count.to_bytes(4, "little") + bytes(count)
        return body[:4] + (len(body) - 8).to_bytes(4, "little") + body[8:]
    return data[:33] + chunk(b"puNk", bytes(count)) + data[33:]


@pytest.mark.parametrize("pad", [behind, beside])
@pytest.mark.parametrize(
    "data",
    [
        encoded(PIL.Image.new("RGB", (1501, 1500)), "PNG"),
        jpeg(1700, 1700, progressive=True),
        jpeg(1700, 1700, "CMYK"),
        encoded(PIL.Image.new("RGB", (2001, 2000)), "WEBP"),
        encoded(PIL.Image.new("RGB", (2001, 2000)), "WEBP", lossless=True),
    ],
    ids=["png", "progressive", "cmyk", "webp", "lossless"],
)
def test_bytes_behind_the_picture_or_in_other_parts_make_it_no_more_believable(data, pad):
    with pytest.raises(BadSample, match="decoded bytes per stored byte"):
        read_header(pad(data, 1_000_000), "here")


def test_what_lies_between_the_scans_is_no_picture_and_hides_no_scan():
    data = jpeg(1000, 1000, progressive=True)
    at = data.rindex(b"\xff\xda")
    comment = b"\xff\xfe\xff\xff" + b"\xff\xda" * 30000 + bytes(5533)
    assert _scans(data[:at] + comment + data[at:], data.index(b"\xff\xda")) == (
        _scans(data, data.index(b"\xff\xda"))
    )
    standalone = data[:at] + b"\xff\x01" + data[at:]
    assert _scans(standalone, data.index(b"\xff\xda"))[0] == data.count(b"\xff\xda")


def animation():
    frames = [PIL.Image.fromarray(flat(8, 8, (shade, 0, 0))) for shade in (0, 90, 200)]
    return encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])


def arithmetic():
    return jpeg(30, 20).replace(b"\xff\xc0", b"\xff\xc9", 1)


def twelve_bits():
    data = bytearray(jpeg(30, 20))
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"", "image", "not an image of JPEG, PNG, WEBP"),
        (b"<html>", "image", "not an image of JPEG, PNG, WEBP"),
        (encode(flat(4, 4), "GIF"), "image", "not an image of JPEG, PNG, WEBP"),
        (b"\xff\xd8", "image", "cut"),
        (jpeg(30, 20)[:50], "image", "cut"),
        (b"\xff\xd8" + bytes(99), "image", "cannot be read"),
        (png(4, 4)[:20], "image", "cut"),
        (png(4, 4)[:-1], "image", "is cut"),
        (png(4, 4, stored=99)[:90], "image", "is cut"),
        (png(0, 4), "image", "no picture"),
        (encode(PHOTO_LIKE, "WEBP")[:-1], "image", "cut"),
        (animation(), "image", "animation"),
        (arithmetic(), "image", "rare way"),
        (twelve_bits(), "pixels", "12 bits"),
        (png(4, 4, bits=16), "pixels", "16 bits"),
    ],
)
def test_what_is_no_picture_for_us_says_why(data, reason, words):
    with pytest.raises(BadSample, match=rf"^here: .*{words}") as error:
        read_header(data, "here")
    assert error.value.reason == reason
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("data", [jpeg(30, 20), encode(PHOTO_LIKE), encode(PHOTO_LIKE, "WEBP")])
def test_a_file_cut_or_damaged_anywhere_in_its_header_never_crashes(data):
    rng = np.random.default_rng(0)
    for cut in range(min(len(data), 700)):
        try_header(data[:cut])
    for _ in range(2000):
        damaged = bytearray(data)
        for at in rng.integers(0, min(len(data), 300), 3):
            damaged[at] = rng.integers(256)
        try_header(bytes(damaged))


def try_header(data):
    try:
        read_header(data, "here")
    except BadSample:
        pass


def test_only_the_chunks_that_make_pixels_are_handed_on():
    """A text chunk of a kilobyte can unpack to a megabyte, and so can a colour profile."""
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000)))
    profile = chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(1_000_000)))
    clean, dirty = png(4, 4), png(4, 4, extra=text * 60 + profile)
    assert read_header(dirty, "here").data == clean
    assert read_header(clean, "here").data is clean
