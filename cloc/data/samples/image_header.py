"""What an image file says about itself before a pixel is allocated: its kind, its size, its cost.

A header that claims more memory or work than an honest picture of that many bytes is refused here,
so a decoder never meets it.
"""

import re
import struct
from typing import NamedTuple

from cloc.errors import BadSample

MAX_PIXELS = 25_000_000
MAX_BYTES = 60 << 20  # memory of a decoder that holds the whole picture; 64 MiB with its buffers
# A larger picture must hold one stored byte of pixels per this many decoded ones: flat black has
# 190 as a JPEG of Pillow's, 500 as a progressive one and 1,000 as a PNG.
FREE_PIXELS = 4_000_000
MAX_RATIO = 200
# A PNG, a CMYK and a progressive JPEG cost up to ten times a plain JPEG, which is decoded at a
# fraction. A photograph has 2 as a PNG, a screenshot 30, a blurred photograph 200 as a progressive
# JPEG. The free size is that of a whole screen, 1920 x 1080.
FREE_SLOW_PIXELS = 2_100_000
MAX_SLOW_RATIO = 50
USUAL_SCANS = 16  # of a progressive JPEG: encoders write 10; each costs a pass over all pixels
MAX_PARTS = 20_000  # segments or chunks
CURE = "shrink or drop the image where the shard is made"

SEQUENTIAL, PROGRESSIVE = (0xC0, 0xC1), 0xC2
OTHER_CODINGS = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
SCAN, JPEG_END = 0xDA, 0xD9
WITHOUT_LENGTH = (0x01, 0xD8)
JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # within a scan's data there is none
SAMPLINGS = (0x11, 0x12, 0x21, 0x22, 0x41)  # of the luma, where the chroma has 1 x 1
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
PNG_RGB, PNG_ALPHA = 2, (4, 6)


class Header(NamedTuple):
    """`data` holds the pixels and nothing else that would have to be unpacked."""

    kind: str  # jpeg, png or webp
    width: int
    height: int
    scales: bool  # can be decoded at a fraction of its size
    data: bytes
    has_alpha: bool = False  # some pixels may be transparent


def read_header(data: bytes, where: str) -> Header:
    """The header of a JPEG, PNG or WebP; `BadSample` for anything else, naming `where`.

    Refused are more than 25 megapixels, more than 60 MiB for a decoder that needs the whole picture
    at once, more than 200 decoded bytes per stored byte of pixels above 4 megapixels (above 2.1 for
    a progressive JPEG, where each 16 scans count as the whole picture; 50 above 2.1 for a PNG and a
    CMYK JPEG), 16 bits a channel and animations. Bytes behind the picture or in other parts of the
    file make it no more believable.
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
            return _jpeg_frame(data, frame, coding == PROGRESSIVE, at, where)
        at += 2 + length
    raise BadSample("image", f"{where}: the image header cannot be read (a JPEG without a scan)")


def _jpeg_frame(
    data: bytes, frame: bytes, is_progressive: bool, first_scan: int, where: str
) -> Header:
    bits, height, width, components = struct.unpack_from(">BHHB", frame)
    if bits != 8:
        raise BadSample("pixels", f"{where}: a JPEG of {bits} bits, expected 8 bits per channel")
    samplings = [frame[7 + 3 * i] for i in range(components)]
    scales = components == 1 or (
        components == 3 and samplings[0] in SAMPLINGS and samplings[1:] == [0x11, 0x11]
    )
    bytes_per_pixel = 0.0 if scales else 8.0
    in_scans = is_progressive or data[first_scan + 4] < components
    if in_scans:
        # libjpeg then holds all coefficients, two bytes each, and goes over them in every scan.
        areas = [(sampling >> 4) * (sampling & 15) for sampling in samplings]
        bytes_per_pixel += 2 * sum(areas) / max(max(areas, default=1), 1)
    _check_memory(width, height, bytes_per_pixel, where)
    if scales and not in_scans:
        _check_work(width * height, len(data), where)
    else:
        scans, stored = _scans(data, first_scan)
        work = int(width * height * max(scans / USUAL_SCANS, 1.0))
        believed = MAX_RATIO if scales else MAX_SLOW_RATIO
        _check_work(work, stored, where, free=FREE_SLOW_PIXELS, at_most=believed)
    return Header("jpeg", width, height, scales, data)


def _scans(data: bytes, at: int) -> tuple[int, int]:
    """(scans, bytes of their data) from the first scan to the end of the picture."""
    scans = stored = 0
    for _ in range(MAX_PARTS):
        marker, begin = data[at + 1], at + 2
        if marker not in WITHOUT_LENGTH:
            begin += struct.unpack_from(">H", data, begin)[0]
        found = JPEG_MARKER.search(data, begin)
        end = found.start() if found else len(data)
        if marker == SCAN:
            scans, stored = scans + 1, stored + max(end - begin, 0)
        if not found or data[end + 1] == JPEG_END:
            break
        at = end
    return scans, stored


def _png(data: bytes, where: str) -> Header:
    length, kind, width, height, bits, colours = struct.unpack_from(">I4sIIBB", data, 8)
    if kind != b"IHDR" or length != 13:
        raise BadSample("image", f"{where}: the image header cannot be read (a PNG without IHDR)")
    if bits > 8:
        raise BadSample("pixels", f"{where}: a PNG of {bits} bits, expected 8 bits per channel")
    # Pillow holds four bytes a pixel, and twice that while another kind becomes RGB.
    bytes_per_pixel = 4.0 if colours == PNG_RGB else 8.0
    _check_memory(width, height, bytes_per_pixel, where)
    clean, stored, has_key = _without_extras(data, where)
    _check_work(width * height, stored, where, free=FREE_SLOW_PIXELS, at_most=MAX_SLOW_RATIO)
    return Header("png", width, height, False, clean, has_key or colours in PNG_ALPHA)


def _without_extras(data: bytes, where: str) -> tuple[bytes, int, bool]:
    """Only the chunks that make pixels, how many bytes of it are pixels, and whether a chunk says
    which colours are transparent.

    Compressed texts and profiles can be bombs of their own.
    """
    at, kept, is_clean, stored, has_key = len(PNG_MAGIC), [PNG_MAGIC], True, 0, False
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if kind in PNG_PIXELS:
            kept.append(data[at:end])
        else:
            is_clean = False
        if kind == b"IDAT":
            stored += length
        has_key |= kind == b"tRNS"
        if kind == b"IEND":
            return (data if is_clean else b"".join(kept)), stored, has_key
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
    stored, has_alpha = _webp_pixels(data)
    # 3 bytes of RGB, 4 with alpha, and lossless also 4 of its own.
    _check_memory(width, height, 8.0 if has_alpha else 7.0, where)
    _check_work(width * height, stored, where)
    return Header("webp", width, height, False, data, has_alpha)


def _webp_pixels(data: bytes) -> tuple[int, bool]:
    """The bytes of the chunk that holds the picture, 0 without one; whether it has alpha, by the
    same marks as libwebp goes by."""
    at, has_alpha = 12, data[12:16] == b"VP8X" and bool(data[20] & 16)
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind in (b"VP8 ", b"VP8L"):
            if kind == b"VP8L":
                has_alpha = bool(data[at + 12] & 16)
            return min(length, len(data) - at - 8), has_alpha
        has_alpha |= kind == b"ALPH"
        at += 8 + length + length % 2
    return 0, has_alpha


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
    work: int, stored: int, where: str, *, free: int = FREE_PIXELS, at_most: int = MAX_RATIO
) -> None:
    """`work` in pixels, times the passes over them; `stored` in bytes of pixels."""
    if work > free and 3 * work > at_most * stored:
        raise BadSample(
            "bomb",
            f"{where}: {work:,} pixels (times passes) from {stored:,} bytes, the work of "
            f"{3 * work / max(stored, 1):,.0f} decoded bytes per stored byte, at most {at_most} "
            f"are believed; {CURE}",
        )
