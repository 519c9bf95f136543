"""Members of a shard as bytes, and bytes as pictures: an allowlist, size caps, nothing executed."""

import io
import struct
from collections.abc import Mapping
from typing import Any

import PIL.Image

from cloc.data.record import Record
from cloc.errors import UserError

# Suffix of a tar member -> extension of a `Record`; everything else in a shard is never read.
IMAGES = {"jpg": "jpg", "jpeg": "jpg", "png": "png", "webp": "webp"}
TEXTS = ("json", "txt")
FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 25_000_000  # a PNG of 10 kB can ask for gigabytes


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
        raise UserError(
            f"{origin(sample)}: {len(found)} images ({', '.join(found) or 'none'}), expected one "
            f"member of {', '.join(IMAGES)}; fix the sample where the shard is made"
        )
    return sample[found[0]], IMAGES[found[0]]


def image_size(data: bytes, where: str) -> tuple[int, int]:
    """(width, height) as the header says, without decoding; the cap on pixels holds."""
    return _open(data, where).size


def decode_image(data: bytes, where: str) -> PIL.Image.Image:
    """RGB pixels as stored: EXIF orientation is ignored, transparency dropped.

    Anything but a whole JPEG, PNG or WEBP of at most 25 megapixels and 8 bits raises `UserError`
    naming `where`; the size is read from the header, before pixels are allocated.
    """
    image = _open(data, where)
    if image.mode.startswith(("I", "F")):
        raise UserError(f"{where}: pixels of mode {image.mode}, expected 8 bits per channel")
    try:
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")  # straight to RGB would warn
        return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        raise UserError(f"{where}: the image cannot be decoded ({error})") from None


def decode_record(record: Record, where: str) -> PIL.Image.Image:
    """The image of a record; a size other than the annotated one would misplace every box."""
    image = decode_image(record.image, where)
    if image.size != (record.width, record.height):
        raise UserError(
            f"{where}: annotated as {record.width}x{record.height} but the image is "
            f"{image.width}x{image.height}; fix width and height where the shard is made"
        )
    return image


def _open(data: bytes, where: str) -> PIL.Image.Image:
    try:
        image = PIL.Image.open(io.BytesIO(data), formats=FORMATS)
    except PIL.UnidentifiedImageError:
        raise UserError(f"{where}: not an image of {', '.join(FORMATS)}") from None
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise UserError(f"{where}: the image is too large ({error})") from None
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        raise UserError(f"{where}: the image header cannot be read ({error})") from None
    if image.width * image.height > MAX_PIXELS:
        raise UserError(
            f"{where}: {image.width}x{image.height} pixels, at most {MAX_PIXELS:,} are decoded; "
            "shrink or drop the image where the shard is made"
        )
    return image
