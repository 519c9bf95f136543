"""How a stored picture is to be turned before it is shown, and its boxes: EXIF's orientation."""

import io
import warnings

import numpy as np
import PIL.ExifTags
import PIL.Image

# EXIF's orientation, a code of 1 to 8: how stored pixels are turned to be shown upright. 1 as they
# are, 2 to 4 mirrored or upside down, 5 to 8 with the sides swapped.
CODES = range(1, 9)
_SWAPPED, _FLIP_X, _FLIP_Y = range(5, 9), (2, 3, 7, 8), (3, 4, 6, 7)  # flips of stored pixels
_METHODS = dict(zip(range(2, 9), (0, 3, 1, 5, 4, 6, 2), strict=True))  # Pillow's transpositions
_MARKS = (b"Exif\0\0", b"eXIf", b"EXIF", b"exif", b"iff:Orientation")  # the last two: of texts


def orientation(data: bytes) -> int:
    """EXIF's code, 1 to 8 of a JPEG, PNG or WebP; 1 without one and where it cannot
    be read. The caps of `cloc.data.samples.image_header.read_header` are to be checked before."""
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


def code_of(image: PIL.Image.Image) -> int:
    """The code of a picture of Pillow's; 1 without one and where it cannot be read."""
    try:
        found = image.getexif().get(PIL.ExifTags.Base.Orientation, 1)
    except Exception:
        return 1
    return int(found) if found in CODES else 1


def upright(image: PIL.Image.Image) -> PIL.Image.Image:
    """The picture as people see it; itself where nothing is to be turned."""
    code = code_of(image)
    if code == 1:
        return image
    shown = image.transpose(PIL.Image.Transpose(_METHODS[code]))
    forget_code(shown)
    return shown


def forget_code(image: PIL.Image.Image) -> None:
    """So that nobody turns it again: a picture hands its code on to what is made of it."""
    if code_of(image) != 1:
        del image.getexif()[PIL.ExifTags.Base.Orientation]
    image.info = {k: v for k, v in image.info.items() if k == "transparency"}


def upright_size(width: int, height: int, code: int) -> tuple[int, int]:
    """(width, height) of the picture as shown, of those as stored; and the other way round."""
    return (height, width) if code in _SWAPPED else (width, height)


def turned(pixels: np.ndarray, code: int) -> np.ndarray:
    """Stored pixels [h, w, ...] as they are shown; a view."""
    pixels = pixels[:, ::-1] if code in _FLIP_X else pixels
    pixels = pixels[::-1] if code in _FLIP_Y else pixels
    return pixels.swapaxes(0, 1) if code in _SWAPPED else pixels


def turned_back(pixels: np.ndarray, code: int) -> np.ndarray:
    """The inverse of `turned`: shown pixels [h, w, ...] as they are stored; a view."""
    return turned(pixels, {6: 8, 8: 6}.get(code, code))  # all others undo themselves


def to_stored(boxes: np.ndarray, width: int, height: int, code: int) -> np.ndarray:
    """Pixel boxes [..., 4] of the picture as shown, as boxes of the `width` x `height` stored
    pixels. Any numbers: what is reversed stays so."""
    found = np.asarray(boxes, np.float64)
    found = found[..., [1, 0, 3, 2]] if code in _SWAPPED else found
    return _flipped(found, width, height, code)


def to_upright(boxes: np.ndarray, width: int, height: int, code: int) -> np.ndarray:
    """The inverse of `to_stored`; `width` and `height` are those of the stored pixels here, too."""
    found = _flipped(np.asarray(boxes, np.float64), width, height, code)
    return found[..., [1, 0, 3, 2]] if code in _SWAPPED else found


def _flipped(boxes: np.ndarray, width: int, height: int, code: int) -> np.ndarray:
    x0, y0, x1, y1 = np.moveaxis(boxes, -1, 0)
    if code in _FLIP_X:
        x0, x1 = width - x1, width - x0
    if code in _FLIP_Y:
        y0, y1 = height - y1, height - y0
    return np.stack([x0, y0, x1, y1], -1)
