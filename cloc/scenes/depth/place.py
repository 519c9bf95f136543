"""A solid in its place: pixels of the picture, distance on the ground, and what holds it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Optional

from cloc.data.samples.relations import TOWARDS, Box
from cloc.scenes.depth.camera import Camera
from cloc.scenes.depth.shapes import HELD_AT
from cloc.scenes.depth.solids import Solid
from cloc.scenes.depth.stamps import Form, form


@dataclass(slots=True, eq=False)
class Placed:
    """Bits count pixels row by row: bit `y * image_size + x`."""

    solid: Solid
    facing: int  # where its front points, a number of `cloc.data.samples.relations`
    side: int  # pixels of the square it is drawn in
    x: int  # left upper corner of the tight extent
    y: int
    width: int
    height: int
    bits: int = field(repr=False)
    front: int = field(repr=False)  # those that hide what it holds
    row: int  # where what carries it meets the ground, thousandths from the upper edge
    distance: int  # of that place, see `Camera.distance`
    holder: Optional["Placed"] = None
    held: str = ""  # in, on or under its holder

    @property
    def box(self) -> Box:
        """Pixels, (x0, y0, x1, y1), of the whole object whether or not it is covered."""
        x0, y0 = float(self.x), float(self.y)
        return x0, y0, x0 + self.width, y0 + self.height


def pixels(thousandths: int, size: int) -> int:
    """The nearest whole pixel, halves up."""
    return (thousandths * size + 500) // 1000


def at(
    solid: Solid, camera: Camera, size: int, *, world: int, x: int, row: int, facing: int = TOWARDS
) -> Placed | None:
    """On the ground, its lowest point at `row` and its middle at `x` (thousandths); None where it
    would leave the picture. `world` is its side at the lower edge of the picture."""
    side = pixels(camera.side(world, row), size)
    shown = form(solid.shape, facing, side, size)
    left, top = pixels(x, size) - shown.width // 2, pixels(row, size) - shown.height
    return _placed(solid, facing, side, shown, (left, top), size, row, camera.distance(row))


def holding(
    solid: Solid, camera: Camera, size: int, *, world: int, content: Placed, word: str
) -> tuple[Placed, Placed] | None:
    """`content`, where it is in the picture, in, on or under a holder that is put around it, and
    that holder; its row is then the holder's. None where the holder would leave the picture."""
    row = 1000 * (content.y + content.height) // size
    side = pixels(camera.side(world, row), size)
    shown = form(solid.shape, TOWARDS, side, size)
    level = shown.height - shown.bottom + side * HELD_AT[solid.shape, word] // 200
    left = content.x + (content.width - shown.width) // 2
    top = content.y + content.height - level
    row = 1000 * (top + shown.height) // size
    distance = camera.distance(row)
    holder = _placed(solid, TOWARDS, side, shown, (left, top), size, row, distance)
    if holder is None:
        return None
    held = replace(content, row=row, distance=distance, holder=holder, held=word)
    return held, holder


def _placed(
    solid: Solid,
    facing: int,
    side: int,
    shown: Form,
    corner: tuple[int, int],
    size: int,
    row: int,
    distance: int,
) -> Placed | None:
    x, y = corner
    if x < 0 or y < 0 or x + shown.width > size or y + shown.height > size:
        return None
    shift = y * size + x
    bits, front = shown.bits << shift, shown.front << shift
    return Placed(solid, facing, side, x, y, shown.width, shown.height, bits, front, row, distance)


def painted(things: Sequence[Placed]) -> list[tuple[Placed, bool]]:
    """What is painted after what: the farther first, what is held after its holder; True where only
    the front of a holder is painted, over what it holds."""
    layers: list[tuple[Placed, bool]] = []
    for thing in sorted((t for t in things if t.holder is None), key=lambda t: (t.row, t.x)):
        layers.append((thing, False))
        for held in things:
            if held.holder is thing:
                layers.append((held, False))
                if held.held != "on":
                    layers.append((thing, True))
    return layers


def visible(layers: Sequence[tuple[Placed, bool]]) -> dict[Placed, int]:
    """Of each thing the pixels that nothing painted later covers."""
    seen: dict[Placed, int] = {}
    covered = 0
    for thing, front in reversed(layers):
        bits = thing.front if front else thing.bits
        seen[thing] = seen.get(thing, 0) | bits & ~covered
        covered |= bits
    return seen
