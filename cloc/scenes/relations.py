"""Where one object of a scene stands to another, by whole-number geometry with a clear margin."""

from dataclasses import dataclass

from cloc.scenes.draw import Mask, mask
from cloc.scenes.kinds import Kind

FLIPPED = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "in front of": "behind",
    "behind": "in front of",
}


@dataclass(slots=True, eq=False)
class Thing:
    """An object in its place. Bits count pixels row by row: bit `y * image_size + x`."""

    kind: Kind
    side: int
    x: int  # left upper corner of the tight extent
    y: int
    width: int
    height: int
    bits: int  # its pixels
    core: int  # those that are not of the soft rim
    visible: int  # those that nothing in front covers

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Pixels, (x0, y0, x1, y1), of the whole object whether or not it is covered."""
        x0, y0 = float(self.x), float(self.y)
        return x0, y0, x0 + self.width, y0 + self.height


def at(kind: Kind, *, side: int, image_size: int, x: int, y: int) -> Thing:
    """`kind` with its left upper corner at (x, y), uncovered; it must lie inside the image."""
    shape: Mask = mask(kind.shape, side, image_size)
    shift = y * image_size + x
    bits, core = shape.bits << shift, shape.core << shift
    return Thing(kind, side, x, y, shape.width, shape.height, bits, core, visible=bits)


def placement(a: Thing, b: Thing) -> str | None:
    """How `a` stands to `b` in the plane, None where it is not clear.

    Clear means: along the one axis the centres are at least 0.8 of the way apart at which the
    boxes would just touch, and at least 1.2 times as far apart as along the other axis.
    """
    dx = 2 * (b.x - a.x) + b.width - a.width  # twice the distance: whole numbers
    dy = 2 * (b.y - a.y) + b.height - a.height
    across, down = abs(dx), abs(dy)
    if 5 * across >= 4 * (a.width + b.width) and 5 * across >= 6 * down:
        return "left of" if dx > 0 else "right of"
    if 5 * down >= 4 * (a.height + b.height) and 5 * down >= 6 * across:
        return "above" if dy > 0 else "below"
    return None


def clearly_not(a: Thing, relation: str, b: Thing) -> bool:
    """Whether `a` is on the other side of `b`, by at least 0.4 of the way at which they touch."""
    if relation in ("left of", "right of"):
        lead = 2 * (b.x - a.x) + b.width - a.width
        touching = a.width + b.width
    else:
        lead = 2 * (b.y - a.y) + b.height - a.height
        touching = a.height + b.height
    if relation in ("right of", "below"):
        lead = -lead
    return 5 * -lead >= 2 * touching


def depth(a: Thing, b: Thing) -> str | None:
    """How `a`, painted before `b`, stands to it where they meet: "behind", "inside", "around".

    Behind: what is seen of `b`, soft rims apart, hides `a` in at least a tenth as many pixels as
    the smaller one has.
    """
    if a.bits & b.bits:
        smaller = min(a.bits.bit_count(), b.bits.bit_count())
        return "behind" if 10 * (a.core & b.core & b.visible).bit_count() >= smaller else None
    if inside(a, b):
        return "inside"
    return "around" if inside(b, a) else None


def inside(a: Thing, b: Thing) -> bool:
    """Whether `a` lies in the hole of the ring `b`: within its box, sharing no pixel."""
    return (
        b.kind.shape == "ring"
        and not a.bits & b.bits
        and a.x > b.x
        and a.y > b.y
        and a.x + a.width < b.x + b.width
        and a.y + a.height < b.y + b.height
    )
