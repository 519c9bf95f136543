"""Decoding: the allowlist, caps from the header, and messages that name shard and key."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from cloc.data.samples.decode import (
    decode_at,
    decode_image,
    decode_record,
    image_member,
    image_size,
    is_wanted,
    opaque,
    origin,
    record_header,
)
from cloc.data.samples.image_header import read_header
from cloc.data.samples.raster import from_header
from cloc.data.samples.record import Record
from cloc.errors import BadSample
from cloc.frame import as_rgb
from tests.helpers.shards import encode, flat

TRANSPARENT = ["RGBA", "LA", "P table", "P index", "L key", "1 key", "RGB key", "lossless", "lossy"]


def transparent(kind: str) -> bytes:
    """A file of 40 x 30 pixels, part of them transparent, of each kind there is."""
    rng, file = np.random.default_rng(0), io.BytesIO()
    pixels = np.zeros((30, 40, 4), np.uint8)
    pixels[..., :3] = rng.integers(0, 256, (6, 8, 3)).repeat(5, 0).repeat(5, 1)
    pixels[..., 3] = np.linspace(0, 255, 40).astype(np.uint8)
    pixels[:, :8, 3], pixels[:5, 8:16, :3] = 0, 30
    image, format, settings = PIL.Image.fromarray(pixels), "PNG", {}
    mode, _, how = kind.partition(" ")
    if kind in ("lossless", "lossy"):
        format, settings = "WEBP", {"lossless": kind == "lossless", "exact": True, "quality": 90}
    elif mode == "P":
        image = image.convert("RGB").quantize(16)
        first = image.getpixel((12, 2))
        table = bytes(0 if i == first else 16 * i for i in range(16))
        settings = {"transparency": first if how == "index" else table}
    elif how == "key":
        image = image.convert("RGB").convert(mode)
        settings = {"transparency": image.getpixel((12, 2))}
    else:
        image = image.convert(mode)
    image.save(file, format, **settings)
    return file.getvalue()


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
    with pytest.raises(BadSample, match=rf"^a/b.tar::007: {len(members)} images"):
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


def png_of_size(width: int, height: int, mode: int = 2) -> bytes:
    """The header of a PNG that claims to be this large, without its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, mode, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels


@pytest.mark.parametrize("side", [5001, 10_000, 60_000])  # Pillow warns at the second
def test_the_cap_is_read_from_the_header(side):
    with pytest.raises(BadSample, match=rf"^here: {side}x{side} pixels, at most"):
        decode_image(png_of_size(side, side), "here")


def gif() -> bytes:
    return encode(flat(4, 4), "GIF")


def sixteen_bits() -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"", "image", "not an image of JPEG, PNG, WEBP"),
        (b"<html>not found</html>", "image", "not an image of JPEG, PNG, WEBP"),
        (gif(), "image", "not an image of JPEG, PNG, WEBP"),
        (sixteen_bits(), "pixels", "expected 8 bits"),
        (encode(flat(60, 60), "JPEG")[:-60], "image", "cannot be decoded"),
        (encode(flat(60, 60), "WEBP")[:-6], "image", "cannot be decoded"),
        (png_of_size(4, 4), "image", "cannot be decoded"),
        (png_of_size(4, 4)[:60], "image", "is cut"),
    ],
    ids=["empty", "html", "gif", "16 bits", "cut jpeg", "cut webp", "no pixels", "cut png"],
)
def test_a_bad_image_is_one_line_naming_where(data, reason, words):
    for decode in (decode_image, whole):
        with pytest.raises(BadSample, match=rf"^here: .*{words}") as error:
            decode(data, "here")
        assert "\n" not in str(error.value)
        assert error.value.reason == reason


def whole(data, where):
    return decode_at(read_header(data, where), 8, where)


def noisy(format, **settings):
    pixels = np.random.default_rng(0).integers(0, 256, (45, 61, 3), np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, format, **settings)
    return file.getvalue()


@pytest.mark.parametrize("data", [noisy("JPEG"), noisy("JPEG", progressive=True), noisy("PNG")])
def test_a_file_cut_anywhere_is_refused_not_half_a_picture(data):
    for cut in range(0, len(data), 7):
        with pytest.raises(BadSample):
            whole(data[:cut], "here")


@pytest.mark.parametrize("data", [noisy("JPEG"), noisy("PNG"), noisy("WEBP")])
def test_a_damaged_file_is_a_picture_of_its_size_or_a_bad_sample(data):
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 2):
            damaged[at] = rng.integers(256)
        try:
            header = read_header(bytes(damaged), "here")
            if header.width * header.height < 1_000_000:
                pixels = decode_at(header, 8, "here")
                assert pixels.shape == (header.height, header.width, 3)
        except BadSample:
            pass


@pytest.mark.parametrize("eighths", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(61, 45), (8, 3), (640, 5), (64, 64), (17, 900)])
def test_a_jpeg_at_a_fraction_of_its_size_has_its_sides_rounded_up(size, eighths):
    width, height = size
    header = read_header(encode(flat(width, height, (200, 40, 10)), "JPEG"), "here")
    pixels = decode_at(header, eighths, "here")
    assert pixels.shape == (-(-height * eighths // 8), -(-width * eighths // 8), 3)
    assert np.abs(pixels.astype(int) - (200, 40, 10)).max() < 8


def over(data, background):
    """By definition, in float: each pixel's own share, and the background for the rest."""
    rgba = np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGBA"), np.float64)
    share = rgba[..., 3:] / 255
    return rgba[..., :3] * share + np.array(background) * (1 - share)


@pytest.mark.parametrize("background", [(255, 255, 255), (10, 200, 90)])
@pytest.mark.parametrize("kind", TRANSPARENT)
def test_what_is_transparent_shows_the_background(kind, background):
    """By both decoders and `prepare`'s function; warnings are errors here."""
    data = transparent(kind)
    header, expected = read_header(data, "a"), over(data, background)
    assert header.has_alpha
    assert (np.abs(expected - background).max(-1) < 1).any()  # something is fully transparent
    for pixels in (
        decode_at(header, 8, "a", background),
        decode_image(data, "a", background),
        as_rgb(PIL.Image.open(io.BytesIO(data)), background),
        from_header(header, "a", background).drawn().pixels(header.width, header.height),
    ):
        assert np.abs(np.asarray(pixels) - expected).max() <= 1
    assert np.abs(np.asarray(decode_image(data, "a")) - over(data, (255,) * 3)).max() <= 1


def test_a_large_transparent_picture_is_composed_whole_and_handed_on():
    pixels = np.random.default_rng(0).integers(0, 256, (2100, 2000, 4), np.uint8)
    pixels[..., 3] = np.linspace(0, 255, 2000, dtype=np.uint8)
    data = encode(pixels, "PNG")
    found = decode_at(read_header(data, "a"), 8, "a")
    assert isinstance(found, PIL.Image.Image)
    assert np.abs(np.asarray(found) - over(data, (255,) * 3)).max() <= 1


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_opaque_is_for_readers_that_drop_transparency(kind):
    data = transparent(kind)
    header = read_header(data, "a")
    extension = {"png": "png", "webp": "webp"}[header.kind]
    record = Record("k", data, extension, header.width, header.height)
    image, found = opaque(record, "a")
    assert found == "png"
    image = PIL.Image.open(io.BytesIO(image))
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image) - over(data, (255,) * 3)).max() <= 1
    plain = Record("k", encode(flat(8, 8), "WEBP"), "webp", 8, 8)
    assert opaque(plain, "a") == (plain.image, "webp")


def test_an_extra_that_unpacks_to_megabytes_is_not_unpacked():
    bomb = zlib.compress(bytes(40_000_000))
    text = struct.pack(">I", len(bomb) + 3) + b"iCCPk\0\0" + bomb
    data = encode(flat(8, 8))
    data = data[:33] + text + struct.pack(">I", zlib.crc32(text[4:])) + data[33:]
    assert (np.asarray(decode_image(data, "here")) == 90).all()


def test_a_size_other_than_the_annotated_one_is_refused():
    record = Record("k", encode(flat(30, 20)), "png", width=20, height=30)
    for read in (decode_record, record_header):
        with pytest.raises(BadSample, match=r"^a.tar::k: annotated as 20x30 .* is 30x20") as error:
            read(record, "a.tar::k")
        assert error.value.reason == "size"
