"""The pictures of the frame conformance check: one marker each, painted exactly at a box.

A sheet is a size with a list of boxes; a picture of it is its ground with one of the boxes painted,
so that whatever the two differ in is the marker. They are handed out as Pillow's, read from encoded
bytes: stored turned where the sheet has an EXIF orientation, as photographs are.
"""

import io
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import PIL.ExifTags
import PIL.Image

from cloc.data.samples.orientation import CODES, upright_size

# far apart in every channel, and far enough from 0 and 255 that no kernel's overshoot is cut
GROUND, MARKER = (64, 96, 64), (208, 48, 192)

# from what is shown upright to what is stored, by EXIF's code
_STORED = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_90,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_270,
}
Box = tuple[int, int, int, int]


class Sheet(NamedTuple):
    """`width`, `height` and `boxes` are pixels of the picture as people see it, upright."""

    name: str
    width: int
    height: int
    boxes: tuple[Box, ...]
    orientation: int = 1  # EXIF's code: how the pixels are stored
    format: str = "PNG"

    def picture(self, shown: int | None) -> PIL.Image.Image:
        """With box `shown` painted; None: the ground alone."""
        return PIL.Image.open(io.BytesIO(_encoded(self, shown)))

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height that Pillow tells of the file."""
        return upright_size(self.width, self.height, self.orientation)

    def given(self) -> np.ndarray:
        """The boxes as an adapter is given them, float32 [n, 4]."""
        return np.array(self.boxes, np.float32)


@cache  # of flat colours: a few kilobytes each
def _encoded(sheet: Sheet, shown: int | None) -> bytes:
    image = PIL.Image.new("RGB", (sheet.width, sheet.height), GROUND)
    if shown is not None:
        image.paste(MARKER, sheet.boxes[shown])
    file, exif = io.BytesIO(), PIL.Image.Exif()
    if sheet.orientation != 1:
        image = image.transpose(_STORED[sheet.orientation])
        exif[PIL.ExifTags.Base.Orientation] = sheet.orientation
    jpeg = {"quality": 100, "subsampling": 0}  # edges stay where they are
    options = jpeg if sheet.format == "JPEG" else {"compress_level": 1}
    image.save(file, sheet.format, exif=exif, **options)
    return file.getvalue()


# boxes by the width and height of a picture; no two share a middle, none is a square
def _middle(w: int, h: int) -> Box:
    """What even the crop of a strip shows whole; off centre on both axes."""
    s = min(w, h)
    return (
        round(w / 2 - 0.37 * s),
        round(h / 2 - 0.23 * s),
        round(w / 2 + 0.17 * s),
        round(h / 2 + 0.41 * s),
    )


def _left_top(w: int, h: int) -> Box:
    return 0, 0, round(0.31 * w), round(0.44 * h)


def _right_bottom(w: int, h: int) -> Box:
    return round(0.58 * w), round(0.67 * h), w, h


def _right(w: int, h: int) -> Box:
    return round(0.61 * w), round(0.11 * h), w, round(0.53 * h)


def _far(w: int, h: int) -> Box:
    return round(0.63 * w), round(0.07 * h), round(0.94 * w), round(0.46 * h)


def _tiny(w: int, h: int) -> Box:
    x, y, side = round(0.57 * w), round(0.36 * h), min(w, h)
    return x, y, x + max(side // 100, 1), y + max(side // 60, 2)


def _column(w: int, h: int) -> Box:
    """A pixel or two wide."""
    x = round(0.45 * w)
    return x, round(0.12 * h), x + 1 + min(w, h) // 200, round(0.83 * h)


def _row(w: int, h: int) -> Box:
    y = round(0.59 * h)
    return round(0.14 * w), y, round(0.88 * w), y + 1 + min(w, h) // 200


def _whole(w: int, h: int) -> Box:
    return 0, 0, w, h


# beside the middle, in turn; a sheet has one, two or three boxes in all
_TURNS: tuple[tuple[Callable[[int, int], Box], ...], ...] = (
    (_left_top, _far),
    (_tiny, _right_bottom),
    (_column, _whole),
    (_right, _row),
    (_whole,),
    (),
)
_SIZES = (
    *((1024, 128), (128, 1024), (900, 225), (225, 900), (640, 213), (213, 640)),
    *((640, 320), (320, 640), (640, 427), (427, 640)),
    *((448, 448), (333, 333), (257, 193), (193, 257), (97, 61), (61, 97), (401, 51), (51, 401)),
    *((33, 47), (47, 33)),
)


def _sheets() -> Iterator[Sheet]:
    for i, (width, height) in enumerate(_SIZES):
        others = (make(width, height) for make in _TURNS[i % len(_TURNS)])
        boxes = [*others, _middle(width, height)]
        yield Sheet(f"{width}x{height}", width, height, tuple(boxes[i % 2 :] + boxes[: i % 2]))
    for code in CODES[1:]:
        boxes = [make(300, 190) for make in (_middle, _left_top)]
        yield Sheet(f"exif{code}-300x190", 300, 190, tuple(boxes), code)
    for code in (1, 6):
        yield Sheet(f"jpeg{code}-352x240", 352, 240, (_middle(352, 240),), code, "JPEG")


CORPUS = tuple(_sheets())
NUM_PICTURES = sum(len(sheet.boxes) for sheet in CORPUS)
