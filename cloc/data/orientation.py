"""How an encoded picture is to be turned before it is shown: the EXIF orientation of the file."""

import io
import warnings

import PIL.Image

from cloc.frame import code_of

_MARKS = (b"Exif\0\0", b"eXIf", b"EXIF", b"exif", b"iff:Orientation")  # the last two: of texts


def orientation(data: bytes) -> int:
    """EXIF's code, 1 to 8 (`cloc.frame`), of a JPEG, PNG or WebP; 1 without one and where it cannot
    be read. The caps of `cloc.data.header.read_header` are to be checked before."""
    if not any(mark in data for mark in _MARKS):  # nearly always; to open it costs far more
        return 1
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # Pillow's, of what is damaged
            PIL.Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image,
        ):
            return code_of(image)
    except Exception:
        return 1
