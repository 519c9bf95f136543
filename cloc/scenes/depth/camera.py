"""A camera over a ground plane, in whole numbers: row of the picture, scale and distance.

A pinhole at some height, looking along the ground: a point of the ground at distance z is seen
`reach * z_bottom / z` rows below the horizon, and what stands there is drawn in that proportion.
"""

from random import Random
from typing import NamedTuple

HORIZONS = (0, 40, 80, 120, 160, 200)  # thousandths of the picture's side below its upper edge
FARTHEST = 1900  # thousandths of the distance of the lower edge: what lies beyond is too small
# Sides in thousandths: few, so that every stamp is drawn once; a step is 6 %.
SIDES = (
    *(88, 93, 99, 105, 111, 118, 125, 132, 140, 148, 157, 167, 177, 187, 199, 211, 223, 237),
    *(251, 266, 282, 299, 317, 336, 356, 378, 400, 424, 450, 477, 505),
)
# The nearest of them to 0, 1, 2, ...; what is larger has the last one.
_NEAREST = tuple(min(SIDES, key=lambda side: abs(side - i)) for i in range(SIDES[-1] + 1))


class Camera(NamedTuple):
    """Rows are thousandths of the picture's side, counted from its upper edge."""

    horizon: int

    def side(self, world: int, row: int) -> int:
        """Thousandths of the picture's side that a solid has whose lowest point is seen at `row`:
        `world` at the lower edge of the picture. The nearest of `SIDES`."""
        exact = world * (row - self.horizon) // (1000 - self.horizon)
        return _NEAREST[min(exact, SIDES[-1])]

    def distance(self, row: int) -> int:
        """Along the ground, in thousandths of that of the lower edge of the picture."""
        return 1000 * (1000 - self.horizon) // (row - self.horizon)

    @property
    def farthest(self) -> int:
        """The row of what stands as far away as anything does."""
        return self.horizon + 1000 * (1000 - self.horizon) // FARTHEST


CAMERAS = tuple(Camera(horizon) for horizon in HORIZONS)


def draw_camera(rng: Random) -> Camera:
    """One of `CAMERAS`."""
    return CAMERAS[int(rng.random() * len(CAMERAS))]
