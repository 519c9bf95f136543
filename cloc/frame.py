"""The frame the model sees: the image resized to fit, centred on black, and boxes carried along.

The same pixels and the same rounding as open_clip's `resize_mode: longest` preprocessing, so an
exported folder and our own loader feed a tower alike.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.ExifTags
import PIL.Image

ImageSize = int | Sequence[int]  # pixels: the side of a square, or height and width
Colour = tuple[int, int, int]  # red, green, blue of 0 to 255

WHITE: Colour = (255, 255, 255)
_COLOURED = {"1", "L", "P", "RGB", "LA", "PA", "RGBA", "RGBa"}  # what can be, or holds, transparent
_STRIP_PIXELS = 1 << 20  # composed at a time: a large picture is never there a third time


def height_and_width(size: ImageSize) -> tuple[int, int]:
    """Of a square or of what is none."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width


class Frame(NamedTuple):
    """Where an image lies in its frame, in pixels of the frame."""

    canvas: tuple[int, int]  # width and height of the frame
    left: int
    top: int
    width: int  # rounded, so the two axes may scale by slightly different factors
    height: int


def pad_frame(image_width: int, image_height: int, size: ImageSize) -> Frame:
    """The image as large as the frame of `size` holds it: the side that fills it does so exactly,
    the other follows, rounded, and is centred."""
    frame_height, frame_width = height_and_width(size)
    ratio = max(image_height / frame_height, image_width / frame_width)
    width, height = max(round(image_width / ratio), 1), max(round(image_height / ratio), 1)
    left, top = (frame_width - width) // 2, (frame_height - height) // 2
    return Frame((frame_width, frame_height), left, top, width, height)


def as_rgb(image: PIL.Image.Image, background: Colour = WHITE) -> PIL.Image.Image:
    """Any picture of Pillow's in RGB, its transparent pixels over `background`.

    Dropping the transparency would show what happens to be stored under it: black, mostly. Of 16
    bits the upper 8 are kept; a `ValueError` for numbers whose range nobody knows.
    """
    if image.mode.startswith("I;16"):
        return _of_16_bits(np.asarray(image), image.info.get("transparency"), background)
    if image.mode in ("I", "F"):
        raise ValueError(
            f"mode {image.mode}: nobody says which of its numbers is white; scale it to 0 to 255 "
            "and mode L first"
        )
    if image.mode == "La":  # the one that Pillow does not bring to RGB in one step
        image = image.convert("LA")
    if image.mode not in _COLOURED or not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    canvas = PIL.Image.new("RGB", image.size, background)
    rows = max(_STRIP_PIXELS // max(image.width, 1), 1)
    for top in range(0, image.height, rows):
        part = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        canvas.paste(part, (0, top), part)
    return canvas


def _of_16_bits(values: np.ndarray, clear: Any, background: Colour) -> PIL.Image.Image:
    """`clear` is the grey that a PNG calls transparent, of all 16 bits, if it calls one so."""
    shown = PIL.Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if isinstance(clear, int):
        mask = PIL.Image.fromarray((values == clear).astype(np.uint8) * 255)
        shown.paste(background, mask=mask)
    return shown


def pad_resize(image: PIL.Image.Image, size: ImageSize) -> tuple[np.ndarray, Frame]:
    """`image` (RGB) as uint8 [height, width, 3] of the frame, and where it lies there."""
    frame = pad_frame(image.width, image.height, size)
    canvas = PIL.Image.new("RGB", frame.canvas)
    if image.size != (frame.width, frame.height):
        image = image.resize((frame.width, frame.height), PIL.Image.Resampling.BICUBIC)
    canvas.paste(image, (frame.left, frame.top))
    return np.asarray(canvas), frame


def into_frame(boxes_px: np.ndarray, image_size: tuple[int, int], frame: Frame) -> np.ndarray:
    """Pixel boxes of an image of (width, height) as float32 fractions of its frame."""
    width, height = image_size
    scale = np.array([frame.width / width, frame.height / height] * 2)
    shift = np.array([frame.left, frame.top] * 2)
    return ((boxes_px * scale + shift) / (frame.canvas * 2)).astype(np.float32)


def out_of_frame(boxes: np.ndarray, image_size: tuple[int, int], frame: Frame) -> np.ndarray:
    """The inverse of `into_frame`: fractions of the frame as pixels of the image, clipped to it."""
    width, height = image_size
    scale = np.array([frame.width / width, frame.height / height] * 2)
    shift = np.array([frame.left, frame.top] * 2)
    pixels = (boxes * (frame.canvas * 2) - shift) / scale
    return np.clip(pixels, 0, [width, height] * 2).astype(np.float32)


# EXIF's orientation, a code of 1 to 8: how stored pixels are turned to be shown upright. 1 as they
# are, 2 to 4 mirrored or upside down, 5 to 8 with the sides swapped.
CODES = range(1, 9)
_SWAPPED, _FLIP_X, _FLIP_Y = range(5, 9), (2, 3, 7, 8), (3, 4, 6, 7)  # flips of stored pixels
_METHODS = dict(zip(range(2, 9), (0, 3, 1, 5, 4, 6, 2), strict=True))  # Pillow's transpositions


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
