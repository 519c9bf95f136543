"""A picture as geometry until its pixels are needed: part of an image, perhaps mirrored.

Pixels are made once, at the size they are wanted: a JPEG is decoded at the smallest fraction that
suffices, and one resampling does the rest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import PIL.Image
import torch

from cloc.data.samples.decode import EIGHTHS, SMALLEST_SCALED, decode_at
from cloc.data.samples.image_header import Header
from cloc.data.samples.orientation import to_stored, turned, upright_size
from cloc.frame import WHITE, Colour

# A JPEG is decoded at this many eighths of its size if that leaves this many times the pixels, in
# each direction, that are wanted. Scaling in the decoder is a little sharper than Pillow's
# antialiasing; with these bounds the mean difference stays below 2 / 255. Other eighths (3, 5, 6)
# are no faster than the whole: the decoder has no vector code for them.
MARGINS = {1: 1.5, 2: 1.0, 4: 1.0}


@dataclass(frozen=True, slots=True)
class Picture:
    """The `window` (x0, y0, x1, y1) of an image, in whole pixels of it as shown upright, mirrored
    after the cut."""

    source: np.ndarray | Header  # uint8 [h, w, 3], or an encoded image
    window: tuple[int, int, int, int]
    where: str = ""  # shard::key, for messages
    mirrored: bool = False
    background: Colour = WHITE  # behind what is transparent in an encoded image
    code: int = 1  # EXIF's, by which the source is turned to be upright

    @property
    def width(self) -> int:
        return self.window[2] - self.window[0]

    @property
    def height(self) -> int:
        return self.window[3] - self.window[1]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of the image."""
        return self.width, self.height

    def mirror(self) -> "Picture":
        """Left becomes right."""
        return replace(self, mirrored=not self.mirrored)

    def cut(self, left: int, top: int, width: int, height: int) -> "Picture":
        """A part of the picture as it is seen, in its pixels."""
        x0, y0, x1, _ = self.window
        x0 = x1 - left - width if self.mirrored else x0 + left
        return replace(self, window=(x0, y0 + top, x0 + width, y0 + top + height))

    def drawn(self) -> "Picture":
        """The same picture of pixels; a file that cannot be decoded raises `BadSample`."""
        array = self.source
        is_whole = isinstance(array, np.ndarray) and (array.shape[1], array.shape[0]) == self.size
        plain = is_whole and not self.mirrored and self.code == 1
        return self if plain else from_pixels(self.pixels(*self.size))

    def pixels(self, width: int, height: int) -> np.ndarray:
        """uint8 [height, width, 3]: antialiased bicubic; at its own size as stored.

        Perhaps a view: not to be written to.
        """
        eighths, size = EIGHTHS, upright_size(width, height, self.code)
        window: Sequence[float] = self.window
        if self.code != 1:
            window = to_stored(np.array(window), *_sides(self.source), self.code).tolist()
        if isinstance(self.source, Header):
            eighths = _eighths(self.source, upright_size(*self.size, self.code), size)
            image = decode_at(self.source, eighths, self.where, self.background)
        else:
            image = self.source
        found = resample(image, tuple(side * eighths / EIGHTHS for side in window), size)
        found = turned(found, self.code)
        return found[:, ::-1] if self.mirrored else found


def from_pixels(pixels: np.ndarray) -> Picture:
    """A picture of uint8 [h, w, 3]; copied only where torch would refuse the array."""
    height, width, _ = pixels.shape
    if not pixels.flags.writeable or min(pixels.strides) < 0:
        pixels = pixels.copy()
    return Picture(pixels, (0, 0, width, height))


def from_header(header: Header, where: str, background: Colour = WHITE, code: int = 1) -> Picture:
    """A picture that is still encoded, to be turned by EXIF's `code`."""
    window = (0, 0, *upright_size(header.width, header.height, code))
    return Picture(header, window, where, background=background, code=code)


def _sides(source: np.ndarray | Header) -> tuple[int, int]:
    """Width and height, as stored."""
    if isinstance(source, Header):
        return source.width, source.height
    return source.shape[1], source.shape[0]


def resample(
    image: np.ndarray | PIL.Image.Image, box: tuple[float, ...], size: tuple[int, int]
) -> np.ndarray:
    """The `box` (x0, y0, x1, y1) of RGB pixels at (width, height): Pillow's antialiased bicubic.

    Torch has the same filter, within two levels of 255 of Pillow's result where noise does not
    overshoot, and several times faster, but from arrays only and for a box that begins on a whole
    pixel; else Pillow's own is used. (OpenCV's area filter is slower, and further from Pillow.)
    """
    x0, y0, x1, y1 = box
    width, height = size
    left, top = int(x0), int(y0)
    if isinstance(image, PIL.Image.Image) or (left, top) != (x0, y0):
        whole = image if isinstance(image, PIL.Image.Image) else PIL.Image.fromarray(image)
        part = (x0, y0, min(x1, whole.width), min(y1, whole.height))
        return np.asarray(whole.resize(size, PIL.Image.Resampling.BICUBIC, box=part))
    pixels = image[top : math.ceil(y1), left : math.ceil(x1)]
    if (x1 - x0, y1 - y0) == size:
        return pixels
    scales = height / (y1 - y0), width / (x1 - x0)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    # Not `interpolate`: it takes a size or factors, and only both map a last, partial pixel right.
    found = torch.ops.aten._upsample_bicubic2d_aa(planes, [height, width], False, *scales)
    return found[0].permute(1, 2, 0).numpy()


def _eighths(header: Header, window: tuple[int, int], size: tuple[int, int]) -> int:
    """The smallest scale that the margins allow for `window` pixels shown at `size`."""
    if not header.scales or max(header.width, header.height) < SMALLEST_SCALED:
        return EIGHTHS
    shown = min(window[0] / size[0], window[1] / size[1])
    return next((n for n, m in MARGINS.items() if shown * n >= m * EIGHTHS), EIGHTHS)
