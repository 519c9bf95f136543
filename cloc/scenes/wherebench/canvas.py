"""What a picture of WhereBench is made of: solid shapes at whole pixels on a grey background.

Places and sides are drawn in thousandths of the picture's side, so that an item is the same item
at every size in pixels.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple, TypeVar

import numpy as np
import PIL.Image

from cloc.scenes.draw import background, mask, paste
from cloc.scenes.kinds import COLOURS, KINDS, SHAPES, Kind, article

T = TypeVar("T")
MARGIN = 20  # between a shape and the rim, in thousandths like all below
GAP = 150  # at least, between shapes apart: no patch of a seventh of the side holds parts of both

# The ring is a faint line where shapes are small, and what shows in its hole, where shapes overlap,
# could be a smaller one inside.
FILLED = tuple(shape for shape in SHAPES if shape != "ring")
# Sizes are drawn, and stripes say nothing about a place: one kind for each colour and shape.
KIND = {
    (kind.colour, kind.shape): kind
    for kind in KINDS
    if (kind.texture, kind.size) == ("solid", "large")
}


class Placed(NamedTuple):
    """A shape in its place, in pixels of a picture."""

    kind: Kind
    side: int
    x: int  # left upper corner of the tight extent
    y: int
    width: int
    height: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) of the whole shape, whether or not it is covered."""
        return self.x, self.y, self.x + self.width, self.y + self.height


class Picture(NamedTuple):
    """Enough to draw it: later things lie over earlier ones."""

    size: int  # pixels of a side
    ground: int  # seed of the background
    things: tuple[Placed, ...]

    def draw(self) -> PIL.Image.Image:
        """RGB, `size` pixels square; the same bytes on every machine."""
        image = background(Random(self.ground), self.size)
        for thing in self.things:
            paste(image, thing.kind, side=thing.side, at=(thing.x, thing.y))
        return image

    @property
    def boxes(self) -> np.ndarray:
        """float32 [n, 4] in pixels, one for each thing in painting order."""
        return np.array([thing.box for thing in self.things], np.float32).reshape(-1, 4)


def pixels(thousandths: int, size: int) -> int:
    """The nearest whole pixel, halves up."""
    return (thousandths * size + 500) // 1000


def placed(kind: Kind, side: int, at: tuple[int, int], *, size: int) -> Placed:
    """`kind` with its centre at `at`; side and centre in thousandths."""
    shape = mask(kind.shape, pixels(side, size), size)
    x = pixels(at[0], size) - shape.width // 2
    y = pixels(at[1], size) - shape.height // 2
    return Placed(kind, pixels(side, size), x, y, shape.width, shape.height)


def kinds(rng: Random, count: int, *, shapes: Sequence[str] = SHAPES) -> list[Kind]:
    """`count` kinds in colours that all differ; no colour or shape is likelier than another."""
    colours = list(COLOURS)
    return [KIND[colours.pop(below(rng, len(colours))), one_of(rng, shapes)] for _ in range(count)]


def below(rng: Random, count: int) -> int:
    """One of 0 .. count - 1."""
    return int(rng.random() * count)


def among(rng: Random, low: int, high: int) -> int:
    """One of low .. high, both included."""
    assert low <= high, (low, high)
    return low + below(rng, high - low + 1)


def one_of(rng: Random, choices: Sequence[T]) -> T:
    return choices[below(rng, len(choices))]


def shuffled(rng: Random, things: Sequence[T]) -> list[T]:
    rest = list(things)
    return [rest.pop(below(rng, len(rest))) for _ in things]


def named(kind: Kind) -> str:
    """ "a red star"."""
    return article(kind.name)
