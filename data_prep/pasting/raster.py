"""Where things may lie: boxes with sides on the lines of a raster, and how far they overlap."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from cloc.data.samples.validate import is_finite, shown
from cloc.errors import UserError

OVERLAP = 0.5  # of the area of either box, at most
STRETCHED = 1.15  # by so much at most another ratio of the sides than the thing has
ENLARGED = 2.0  # by so much at most; beyond it a thing shows its pixels

Cells = tuple[int, int, int, int]  # x0, y0, x1, y1 in cells


class Raster(NamedTuple):
    """`grid` x `grid` cells on a square picture of `size` pixels."""

    size: int
    grid: int
    sizes: Sequence[tuple[float, float]]  # of one thing, of each of two, ..: the longer side
    num_objects: Sequence[int]

    @property
    def cell(self) -> int:
        """Pixels of a side."""
        return self.size // self.grid

    def steps(self, count: int) -> range:
        """How many cells the longer side of each of `count` things may have."""
        low, high = self.sizes[count - 1]
        return range(max(1, math.ceil(low * self.grid)), math.floor(high * self.grid) + 1)

    def shapes(self, width: int, height: int, *, count: int) -> list[tuple[int, int]]:
        """(wide, high) in cells that a thing of so many pixels may have among `count`: in the range
        of sizes, stretched and enlarged within the bounds."""
        longer, found = max(width, height), []
        for cells in self.steps(count):
            sides = [max(1, round(cells * side / longer)) for side in (width, height)]
            stretch = sides[0] * height / (sides[1] * width)
            if max(stretch, 1 / stretch) <= STRETCHED and cells * self.cell <= ENLARGED * longer:
                found.append((sides[0], sides[1]))
        return found


def raster(size: int, grid: int, *, sizes: Any, at_least: int, at_most: int) -> Raster:
    """`UserError` for what no picture could be made with."""
    if type(size) is not int or not 32 <= size <= 1024:
        raise UserError(f"size={size}: pictures have 32 to 1024 pixels a side; set size=64")
    if type(grid) is not int or not 2 <= grid <= size or size % grid:
        raise UserError(
            f"grid={grid}: size={size} must be a multiple of it, so that its lines lie between "
            "pixels; set grid=16 and size=64, or 224"
        )
    ranges = _ranges(sizes)
    if not 1 <= at_least <= at_most <= len(ranges):
        raise UserError(
            f"objects_at_least={at_least} and objects_at_most={at_most}: give 1 or more, and at "
            f"most {len(ranges)}, for which sizes has ranges"
        )
    found = Raster(size, grid, ranges, range(at_least, at_most + 1))
    for count in found.num_objects:
        if not found.steps(count):
            raise UserError(
                f"sizes={shown(sizes)}: between the two of {count} objects lies no whole number of "
                f"cells of grid={grid}; set a wider range, or a finer grid"
            )
    return found


def _ranges(sizes: Any) -> list[tuple[float, float]]:
    given = sizes if isinstance(sizes, list) else []
    pairs = [p for p in given if isinstance(p, list) and len(p) == 2 and all(map(is_finite, p))]
    if not pairs or len(pairs) != len(given) or not all(0 < a <= b <= 1 for a, b in pairs):
        raise UserError(
            f"sizes={shown(sizes)}: give [smallest, largest] of one object, of two, .., as shares "
            "of the side, such as sizes=[[0.3,0.9],[0.2,0.6]]"
        )
    return [(a, b) for a, b in pairs]


def overlaps(a: Cells, b: Cells) -> bool:
    """Whether more than OVERLAP of either lies in the other."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return wide > 0 and high > 0 and wide * high > OVERLAP * smaller
