"""The frame the model sees: long side resized, centred on black, and boxes carried along.

The same pixels and the same rounding as open_clip's `resize_mode: longest` preprocessing, so an
exported folder and our own loader feed a tower alike.
"""

from typing import NamedTuple

import numpy as np
import PIL.Image


class Frame(NamedTuple):
    """Where an image lies in its square frame, in pixels of the frame."""

    size: int
    left: int
    top: int
    width: int  # rounded, so the two axes may scale by slightly different factors
    height: int


def pad_frame(image_width: int, image_height: int, size: int) -> Frame:
    """The long side becomes `size`, the other follows, rounded, and is centred."""
    ratio = max(image_height, image_width) / size
    width, height = max(round(image_width / ratio), 1), max(round(image_height / ratio), 1)
    return Frame(size, (size - width) // 2, (size - height) // 2, width, height)


def pad_resize(image: PIL.Image.Image, size: int) -> tuple[np.ndarray, Frame]:
    """`image` (RGB) as uint8 [size, size, 3] and where it lies there."""
    frame = pad_frame(image.width, image.height, size)
    canvas = PIL.Image.new("RGB", (size, size))
    if image.size != (frame.width, frame.height):
        image = image.resize((frame.width, frame.height), PIL.Image.Resampling.BICUBIC)
    canvas.paste(image, (frame.left, frame.top))
    return np.asarray(canvas), frame


def into_frame(boxes_px: np.ndarray, image_size: tuple[int, int], frame: Frame) -> np.ndarray:
    """Pixel boxes of an image of (width, height) as float32 fractions of its frame."""
    width, height = image_size
    scale = np.array([frame.width / width, frame.height / height] * 2)
    shift = np.array([frame.left, frame.top] * 2)
    return ((boxes_px * scale + shift) / frame.size).astype(np.float32)


def out_of_frame(boxes: np.ndarray, image_size: tuple[int, int], frame: Frame) -> np.ndarray:
    """The inverse of `into_frame`: fractions of the frame as pixels of the image, clipped to it."""
    width, height = image_size
    scale = np.array([frame.width / width, frame.height / height] * 2)
    shift = np.array([frame.left, frame.top] * 2)
    pixels = (boxes * frame.size - shift) / scale
    return np.clip(pixels, 0, [width, height] * 2).astype(np.float32)
