"""Transforms of an image together with its boxes and words; boxes are pixels of the image.

Geometry first: a transform that needs no pixels makes none.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cloc.data.samples.asked import Asked
from cloc.data.samples.raster import Picture, from_pixels
from cloc.errors import UserError
from cloc.frame import ImageSize, height_and_width, into_frame, pad_frame

SIDE = re.compile(r"\b(left|right)(?=(?:most|wards?)?\b)", re.IGNORECASE)
OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One image on its way to a batch; row i of `boxes`, `phrases` and `negatives` is a region."""

    key: str
    image: Picture
    caption: str | None  # None where the image has no caption
    boxes: np.ndarray  # float32 [n, 4], pixels of `image`, (x0, y0, x1, y1)
    phrases: tuple[str, ...]
    negatives: tuple[tuple[str, ...], ...]
    asked: tuple[Asked, ...] = ()  # about what is shown, where a model wants questions

    def keep(self, rows: np.ndarray) -> "Sample":
        """The regions of `rows`, in that order; none is a normal sample."""
        return replace(
            self,
            boxes=self.boxes[rows],
            phrases=tuple(self.phrases[i] for i in rows),
            negatives=tuple(self.negatives[i] for i in rows),
        )


# Chance comes from the generator alone, so a sample is the same in whatever process it is made.
Transform = Callable[[Sample, np.random.Generator], Sample]


@dataclass(frozen=True, slots=True)
class PadResize:
    """As large as the frame of `size` holds it, centred on black: nothing is lost or stretched."""

    size: ImageSize

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = height_and_width(self.size)
        if sample.image.size == (width, height):
            return replace(sample, image=sample.image.drawn())
        frame = pad_frame(*sample.image.size, self.size)
        canvas = np.zeros((height, width, 3), np.uint8)
        bottom, right = frame.top + frame.height, frame.left + frame.width
        shown = sample.image.pixels(frame.width, frame.height)
        canvas[frame.top : bottom, frame.left : right] = shown
        boxes = into_frame(sample.boxes, sample.image.size, frame)
        boxes *= np.array([width, height] * 2, np.float32)
        return replace(sample, image=from_pixels(canvas), boxes=boxes)


@dataclass(frozen=True, slots=True)
class RandomCrop:
    """A random part of the image, resized to `size`: to a square, or to (height, width).

    `scale` bounds the part's share of the area in (0, 1], `ratio` its width over height. Boxes are
    clipped to the part; a region of which less than `min_visibility` of the area stays visible is
    dropped, and if none stays that is a normal sample.
    """

    size: ImageSize
    scale: Sequence[float] = (0.5, 1.0)
    ratio: Sequence[float] = (3 / 4, 4 / 3)
    min_visibility: float = 0.5

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0 < low <= high <= 1:
            raise UserError(f"RandomCrop.scale is {self.scale}, expected 0 < low <= high <= 1")
        low, high = self.ratio
        if not 0 < low <= high:
            raise UserError(f"RandomCrop.ratio is {self.ratio}, expected 0 < low <= high")
        if not 0 < self.min_visibility <= 1:
            raise UserError(
                f"RandomCrop.min_visibility is {self.min_visibility}, expected it in (0, 1]"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        rows, columns = height_and_width(self.size)
        left, top, width, height = self._part(*sample.image.size, rng)
        part = (left, top, left + width, top + height)
        pixels = sample.image.cut(left, top, width, height).pixels(columns, rows)
        boxes = np.clip(sample.boxes, part[:2] * 2, part[2:] * 2)
        visible = _areas(boxes) / _areas(sample.boxes)
        boxes = (boxes - part[:2] * 2) * (np.array([columns, rows] * 2) / ([width, height] * 2))
        placed = replace(sample, image=from_pixels(pixels), boxes=boxes.astype(np.float32))
        return placed.keep(np.flatnonzero(visible >= self.min_visibility))

    def _part(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """(left, top, width, height); the largest centred part of a legal ratio if no draw fits."""
        for _ in range(10):
            area = width * height * rng.uniform(self.scale[0], self.scale[1])
            ratio = math.exp(rng.uniform(*np.log(self.ratio)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                left, top = rng.integers(width - w, endpoint=True), rng.integers(height - h + 1)
                return int(left), int(top), w, h
        w = max(min(width, round(height * self.ratio[1])), 1)
        h = max(min(height, round(width / self.ratio[0])), 1)
        return (width - w) // 2, (height - h) // 2, w, h


@dataclass(frozen=True, slots=True)
class Flip:
    """Mirrors the image with `probability` and swaps the words left and right everywhere.

    The words are whole ones, also in leftmost and rightwards, and keep their case; "right" that is
    no side ("all right") is swapped too.
    """

    probability: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise UserError(f"Flip.probability is {self.probability}, expected it in [0, 1]")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        boxes = sample.boxes.copy()
        boxes[:, [2, 0]] = sample.image.width - boxes[:, [0, 2]]
        return replace(
            sample,
            image=sample.image.mirror(),
            caption=None if sample.caption is None else swap_sides(sample.caption),
            boxes=boxes,
            phrases=tuple(map(swap_sides, sample.phrases)),
            negatives=tuple(tuple(map(swap_sides, texts)) for texts in sample.negatives),
        )


def swap_sides(text: str) -> str:
    """Left becomes right and right left, as whole words, their case kept."""
    return SIDE.sub(_other_side, text)


def _other_side(match: re.Match[str]) -> str:
    word = match[0]
    other = OTHER_SIDE[word.lower()]
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(-1)
