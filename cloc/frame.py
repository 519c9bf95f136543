"""The frame the model sees: the image resized to fit, centred on black, and boxes carried along.

The same pixels and the same rounding as open_clip's `resize_mode: longest` preprocessing, so an
exported folder and our own loader feed a tower alike.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
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
    return framed(image, Framing("pad", size))


class Framing(NamedTuple):
    """How an encoder's own preprocessing makes its frame of a picture.

    `pad` shows the whole picture in its own aspect with bars of `fill`, `squash` the whole picture
    in the aspect of the frame, `crop` the middle of the picture: its shorter side is resized to
    `shorter` pixels and what is outside of the frame is cut off.
    """

    geometry: str  # pad, squash, crop
    size: ImageSize
    interpolation: str = "bicubic"  # one of Pillow's
    fill: int = 0  # grey of the bars, 0 to 255
    shorter: int | None = None  # None: as large as the frame, as open_clip has it
    halves: str = "even"  # an odd rest is cut by half a pixel: rounded to even (torchvision), down

    def place(self, width: int, height: int) -> Frame:
        """Where a picture of this size lies in the frame; beyond its edges where it is cut."""
        frame_height, frame_width = height_and_width(self.size)
        if self.geometry == "pad":
            return pad_frame(width, height, self.size)
        if self.geometry == "squash":
            return Frame((frame_width, frame_height), 0, 0, frame_width, frame_height)
        new_width, new_height = _shorter(width, height, self.shorter, (frame_width, frame_height))
        left = _cut(new_width - frame_width, self.halves)
        top = _cut(new_height - frame_height, self.halves)
        return Frame((frame_width, frame_height), -left, -top, new_width, new_height)

    def __str__(self) -> str:
        height, width = height_and_width(self.size)
        of = "" if self.shorter in (None, min(height, width)) else f" of {self.shorter}"
        return f"{self.geometry} {width}x{height}{of}, {self.interpolation}"


def fitted(framing: Framing | None, size: ImageSize) -> Framing | None:
    """The same for frames of another size, with the same share of a picture seen."""
    if framing is None:
        return None
    (height, _), old = height_and_width(size), height_and_width(framing.size)[0]
    shorter = None if framing.shorter is None else round(framing.shorter * height / old)
    return framing._replace(size=size, shorter=shorter)


def _shorter(width: int, height: int, side: int | None, frame: tuple[int, int]) -> tuple[int, int]:
    """Sizes as torchvision's `Resize` has them for a square, open_clip's `ResizeKeepRatio` else."""
    if side is None and frame[0] != frame[1]:
        ratio = min(width / frame[0], height / frame[1])
        return round(width / ratio), round(height / ratio)
    side = side or frame[0]
    if width <= height:
        return side, max(int(side * height / width), 1)
    return max(int(side * width / height), 1), side


def _cut(rest: int, halves: str) -> int:
    """Pixels before the frame; less than 0 where bars fill it, as torchvision's `CenterCrop`."""
    if rest < 0:
        return -(-rest // 2)
    return rest // 2 if halves == "down" else round(rest / 2)


def framed(image: PIL.Image.Image, framing: Framing) -> tuple[np.ndarray, Frame]:
    """`image` (RGB) as uint8 [height, width, 3] of the frame, and where it lies there."""
    frame = framing.place(image.width, image.height)
    if image.size != (frame.width, frame.height):
        kind = PIL.Image.Resampling[framing.interpolation.upper()]
        image = image.resize((frame.width, frame.height), kind)
    if image.size == frame.canvas and (frame.left, frame.top) == (0, 0):
        return np.asarray(image), frame
    canvas = PIL.Image.new("RGB", frame.canvas, (framing.fill,) * 3)
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


def visible(boxes: np.ndarray, frame: Frame) -> np.ndarray:
    """Fractions of the frame cut at its edges; of a box at least a pixel stays, or all of a thinner
    one, at the nearest edge: what an encoder does not see it gets wrong, and no box is left out."""
    pixel = 1 / np.array(frame.canvas * 2, np.float32)[:2]
    least = np.minimum(pixel, boxes[:, 2:] - boxes[:, :2])
    low = np.clip(boxes[:, :2], 0, 1 - least)
    return np.concatenate([low, np.clip(boxes[:, 2:], low + least, 1)], 1).astype(np.float32)


def hidden(boxes_px: np.ndarray, image_size: tuple[int, int], frame: Frame) -> np.ndarray:
    """The share of each box's area that lies outside of the frame, [n] in [0, 1]."""
    boxes = into_frame(boxes_px, image_size, frame).astype(np.float64)
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 1e-12, None)
    seen = np.clip(np.clip(boxes[:, 2:], 0, 1) - np.clip(boxes[:, :2], 0, 1), 0, None)
    return 1 - (seen / sides).prod(1)
