"""What an image file says about itself before a pixel is allocated: its kind, its size, its cost.

A header that claims more memory or work than an honest picture of that many bytes is refused here,
so a decoder never meets it.
"""

import struct
from typing import NamedTuple

from cloc.errors import BadSample

MAX_PIXELS = 25_000_000
MAX_BYTES = 64 << 20  # memory of a decoder that holds the whole picture
# A larger picture must hold one stored byte per this many decoded ones: flat black has 190 as a
# JPEG of Pillow's, 500 as a progressive one and 1,000 as a PNG.
FREE_PIXELS = 4_000_000
MAX_RATIO = 200
# A PNG costs ten times a JPEG, which is decoded at a fraction; a photograph has 2, a screenshot 30.
FREE_PNG_PIXELS = 2_500_000
MAX_PNG_RATIO = 50
USUAL_SCANS = 16  # of a progressive JPEG: encoders write 10; each costs a pass over all pixels
MAX_PARTS = 20_000  # segments or chunks
CURE = "shrink or drop the image where the shard is made"

SEQUENTIAL, PROGRESSIVE = (0xC0, 0xC1), 0xC2
OTHER_CODINGS = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
SCAN = 0xDA
SAMPLINGS = (0x11, 0x12, 0x21, 0x22, 0x41)  # of the luma, where the chroma has 1 x 1
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
PNG_RGB = 2


class Header(NamedTuple):
    """`data` holds the pixels and nothing else that would have to be unpacked."""

    kind: str  # jpeg, png or webp
    width: int
    height: int
    scales: bool  # can be decoded at a fraction of its size
    data: bytes


def read_header(data: bytes, where: str) -> Header:
    """The header of a JPEG, PNG or WebP; `BadSample` for anything else, naming `where`.

    Refused are more than 25 megapixels, more than 64 MiB for a decoder that needs the whole picture
    at once, more than 200 decoded bytes per stored byte above 4 megapixels (each 16 scans of a
    progressive JPEG count as the whole picture; a PNG may have 50, above 2.5 megapixels), 16 bits a
    channel and animations.
    """
    try:
        if data[:2] == b"\xff\xd8":
            return _jpeg(data, where)
        if data[:8] == PNG_MAGIC:
            return _png(data, where)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data, where)
    except (IndexError, struct.error):
        raise BadSample("image", f"{where}: the image is cut within its headers") from None
    raise BadSample("image", f"{where}: not an image of JPEG, PNG, WEBP")


def _jpeg(data: bytes, where: str) -> Header:
    """Walks the segments to the first scan; the picture's own segment lies before it."""
    at, frame, coding = 2, b"", 0
    for _ in range(MAX_PARTS):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in OTHER_CODINGS:
            raise BadSample("image", f"{where}: a JPEG coded in a rare way (SOF {marker:#x})")
        if marker in SEQUENTIAL or marker == PROGRESSIVE:
            frame, coding = data[at + 4 : at + 2 + length], marker
        if marker == SCAN and frame:
            return _jpeg_frame(data, frame, coding == PROGRESSIVE, data[at + 4], where)
        at += 2 + length
    raise BadSample("image", f"{where}: the image header cannot be read (a JPEG without a scan)")


def _jpeg_frame(
    data: bytes, frame: bytes, is_progressive: bool, in_scan: int, where: str
) -> Header:
    bits, height, width, components = struct.unpack_from(">BHHB", frame)
    if bits != 8:
        raise BadSample("pixels", f"{where}: a JPEG of {bits} bits, expected 8 bits per channel")
    samplings = [frame[7 + 3 * i] for i in range(components)]
    scales = components == 1 or (
        components == 3 and samplings[0] in SAMPLINGS and samplings[1:] == [0x11, 0x11]
    )
    passes, bytes_per_pixel = 1.0, 0.0 if scales else 8.0
    if is_progressive or in_scan < components:
        # libjpeg then holds all coefficients, two bytes each, and goes over them in every scan.
        passes = max(data.count(bytes((0xFF, SCAN))) / USUAL_SCANS, 1.0)
        areas = [(sampling >> 4) * (sampling & 15) for sampling in samplings]
        bytes_per_pixel += 2 * sum(areas) / max(max(areas, default=1), 1)
    _check_memory(width, height, bytes_per_pixel, where)
    _check_work(width, height, len(data), where, passes=passes)
    return Header("jpeg", width, height, scales, data)


def _png(data: bytes, where: str) -> Header:
    length, kind, width, height, bits, colours = struct.unpack_from(">I4sIIBB", data, 8)
    if kind != b"IHDR" or length != 13:
        raise BadSample("image", f"{where}: the image header cannot be read (a PNG without IHDR)")
    if bits > 8:
        raise BadSample("pixels", f"{where}: a PNG of {bits} bits, expected 8 bits per channel")
    # Pillow holds four bytes a pixel, and twice that while another kind becomes RGB.
    bytes_per_pixel = 4.0 if colours == PNG_RGB else 8.0
    _check_memory(width, height, bytes_per_pixel, where)
    _check_work(width, height, len(data), where, free=FREE_PNG_PIXELS, at_most=MAX_PNG_RATIO)
    return Header("png", width, height, False, _without_extras(data, where))


def _without_extras(data: bytes, where: str) -> bytes:
    """Only the chunks that make pixels: compressed texts and profiles can be bombs of their own."""
    at, kept, is_clean = len(PNG_MAGIC), [PNG_MAGIC], True
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if kind in PNG_PIXELS:
            kept.append(data[at:end])
        else:
            is_clean = False
        if kind == b"IEND":
            return data if is_clean else b"".join(kept)
        at = end
    else:
        raise BadSample("bomb", f"{where}: a PNG of more than {MAX_PARTS:,} chunks")
    raise BadSample("image", f"{where}: the image cannot be decoded (a PNG that is cut)")


def _webp(data: bytes, where: str) -> Header:
    kind = data[12:16]
    if struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise BadSample("image", f"{where}: the image cannot be decoded (a WebP that is cut)")
    if kind == b"VP8X":
        if data[20] & 2:
            raise BadSample("image", f"{where}: an animation, expected one picture")
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    # 3 bytes of RGB, and lossless also 4 of its own.
    _check_memory(width, height, 7.0, where)
    _check_work(width, height, len(data), where)
    return Header("webp", width, height, False, data)


def _check_memory(width: int, height: int, bytes_per_pixel: float, where: str) -> None:
    pixels = width * height
    if not pixels:
        raise BadSample("image", f"{where}: {width}x{height} pixels: there is no picture")
    if pixels > MAX_PIXELS:
        raise BadSample(
            "bomb", f"{where}: {width}x{height} pixels, at most {MAX_PIXELS:,} are decoded; {CURE}"
        )
    if pixels * bytes_per_pixel > MAX_BYTES:
        raise BadSample(
            "bomb",
            f"{where}: {width}x{height} pixels of this kind take {pixels * bytes_per_pixel:,.0f} "
            f"bytes to decode, at most {MAX_BYTES:,} are given; {CURE}",
        )


def _check_work(
    width: int,
    height: int,
    stored: int,
    where: str,
    *,
    free: int = FREE_PIXELS,
    at_most: int = MAX_RATIO,
    passes: float = 1.0,
) -> None:
    work = width * height * passes
    if work > free and 3 * work > at_most * stored:
        raise BadSample(
            "bomb",
            f"{where}: {width}x{height} pixels in {stored:,} bytes, the work of "
            f"{3 * work / stored:,.0f} decoded bytes per stored byte, at most {at_most} are "
            f"believed; {CURE}",
        )
