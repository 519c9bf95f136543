"""Members of a shard as bytes, and bytes as pictures: an allowlist, size caps, nothing executed.

What is wrong with a sample's picture is a `BadSample` with one of four reasons: `image` (not one
whole picture of the allowlist), `bomb` (it claims more than it can honestly hold), `pixels` (more
than 8 bits a channel), `size` (not as annotated).
"""

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import PIL.Image
import simplejpeg

from cloc.data.samples.image_header import FREE_PIXELS, Header, read_header
from cloc.data.samples.orientation import forget_code, turned
from cloc.data.samples.record import Record
from cloc.data.samples.tar_cures import missing_member
from cloc.errors import BadSample
from cloc.frame import WHITE, Colour, as_rgb

# Suffix of a tar member -> extension of a `Record`; everything else in a shard is never read.
IMAGES = {"jpg": "jpg", "jpeg": "jpg", "png": "png", "webp": "webp"}
IMAGES |= dict.fromkeys(("jpe", "jfif", "pjpeg"), "jpg")
TEXTS = ("json", "txt")
EIGHTHS = 8  # the size of a whole JPEG, in the unit of `decode_at`
SMALLEST_SCALED = 8  # pixels; below, two scales can give the same size


def is_wanted(name: str) -> bool:
    """True for `KEY.suffix` with a suffix of the allowlist, in any case; a key holds no dot."""
    _, _, suffix = name.rpartition("/")[2].partition(".")
    return suffix.lower() in IMAGES or suffix.lower() in TEXTS


def origin(sample: Mapping[str, Any]) -> str:
    """`shard::key` of a raw sample, as every message about it begins."""
    return f"{sample['__url__']}::{sample['__key__']}"


def image_member(sample: Mapping[str, Any]) -> tuple[bytes, str]:
    """The encoded image of a raw sample and its extension; there must be exactly one."""
    found = [suffix for suffix in IMAGES if suffix in sample]
    if len(found) != 1:
        cure = "fix the sample where the shard is made" if found else missing_member(sample, IMAGES)
        raise BadSample(
            "image",
            f"{origin(sample)}: {len(found)} images ({', '.join(found) or 'none'}), expected one "
            f"member of {', '.join(IMAGES)}; {cure}",
        )
    return sample[found[0]], IMAGES[found[0]]


def image_size(data: bytes, where: str) -> tuple[int, int]:
    """(width, height) as the header says, without decoding; the caps of `read_header` hold."""
    header = read_header(data, where)
    return header.width, header.height


def record_header(record: Record, where: str) -> Header:
    """The header of a record's image; a size other than annotated would misplace every box."""
    header = read_header(record.image, where)
    if (header.width, header.height) != (record.width, record.height):
        raise BadSample(
            "size",
            f"{where}: annotated as {record.width}x{record.height} but the image is "
            f"{header.width}x{header.height}; fix width and height where the shard is made",
        )
    return header


def decode_image(data: bytes, where: str, background: Colour = WHITE) -> PIL.Image.Image:
    """RGB pixels as stored: EXIF orientation is ignored, what is transparent shows `background`.
    The reference.

    Anything but a whole JPEG, PNG or WebP of 8 bits within the caps of `read_header` raises
    `BadSample` naming `where`.
    """
    return _whole(read_header(data, where), where, background)


def decode_record(record: Record, where: str, background: Colour = WHITE) -> PIL.Image.Image:
    """The image of a record, whole; its size is the annotated one."""
    return _whole(record_header(record, where), where, background)


def decode_shown(record: Record, where: str, background: Colour = WHITE) -> PIL.Image.Image:
    """The image of a record, upright; `orientation.to_upright` brings its boxes along."""
    image = decode_record(record, where, background)
    if record.orientation == 1:
        return image
    return PIL.Image.fromarray(turned(np.asarray(image), record.orientation))


def opaque(record: Record, where: str) -> tuple[bytes, str]:
    """Encoded image and extension, for a reader that may drop transparency: as stored, or an
    upright PNG over white where a pixel may be transparent."""
    if not record_header(record, where).has_alpha:
        return record.image, record.extension
    file = io.BytesIO()
    decode_shown(record, where).save(file, "PNG")
    return file.getvalue(), "png"


def decode_at(
    header: Header, eighths: int, where: str, background: Colour = WHITE
) -> np.ndarray | PIL.Image.Image:
    """uint8 [h, w, 3] at `eighths` / 8 of the stored size, sides rounded up.

    Anything below 8 needs `header.scales` and a long side of 8 or more pixels. The whole picture is
    `decode_image`'s, bit for bit, except that a JPEG that is only a little damaged is refused too.
    A large picture of Pillow's is handed on as it is: an array would be two more copies of it.
    """
    if header.scales:
        sides = (-(-side * eighths // EIGHTHS) for side in (header.width, header.height))
        width, height = (0, 0) if eighths == EIGHTHS else sides  # 0: whole
        with _refusals(where):
            # strict: a cut file is an error, not half a picture on grey. The "fast" settings are
            # no faster where this was measured and move every pixel.
            return simplejpeg.decode_jpeg(header.data, min_width=width, min_height=height)
    if header.kind == "webp" and not header.has_alpha:
        return _webp(header, where)
    image = _whole(header, where, background)
    return image if image.width * image.height > FREE_PIXELS else np.array(image)


def _whole(header: Header, where: str, background: Colour) -> PIL.Image.Image:
    if header.kind == "webp":
        return as_rgb(PIL.Image.fromarray(_webp(header, where)), background)
    return _by_pillow(header, where, background)


def _webp(header: Header, where: str) -> np.ndarray:
    """RGB, or RGBA where there is alpha. The pixels are Pillow's; Pillow takes five times the time
    and memory, for animations."""
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    with _refusals(where):
        if header.has_alpha:
            flags = cv2.IMREAD_UNCHANGED  # which is BGR
        pixels = cv2.imdecode(np.frombuffer(header.data, np.uint8), flags)
        if pixels is None:
            raise ValueError("the WebP is damaged")
        _check_size((pixels.shape[1], pixels.shape[0]), header)
        if header.has_alpha:
            swap = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
            cv2.cvtColor(pixels, swap, dst=pixels)
        return pixels


def _by_pillow(header: Header, where: str, background: Colour) -> PIL.Image.Image:
    with _refusals(where):
        file = io.BytesIO(header.data)
        image: PIL.Image.Image = PIL.Image.open(file, formats=(header.kind,))
        _check_size(image.size, header)
        image.load()
        image = as_rgb(image, background)
        forget_code(image)
        return image


def _check_size(found: tuple[int, int], header: Header) -> None:
    if found != (header.width, header.height):
        raise ValueError(f"it is {found[0]}x{found[1]}, its header says otherwise")


@contextmanager
def _refusals(where: str) -> Iterator[None]:
    """Whatever a decoder raises is a `BadSample` of one line."""
    try:
        yield
    except (OSError, ValueError, SyntaxError, cv2.error, struct.error, zlib.error) as error:
        line = (str(error).splitlines() or [""])[0]
        raise BadSample("image", f"{where}: the image cannot be decoded ({line})") from None
