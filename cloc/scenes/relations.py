"""Where one object of a scene stands to another, by the rules that all relations share."""

from dataclasses import dataclass

from cloc.data.samples import relations
from cloc.scenes.draw import Mask, mask
from cloc.scenes.kinds import Kind


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
    """How `a` stands to `b` in the plane, None where it is not clear."""
    return relations.placement(a.box, b.box)


def clearly_not(a: Thing, relation: str, b: Thing) -> bool:
    """Whether `a` is clearly on the other side of `b`."""
    return relations.clearly_not(a.box, relation, b.box)


def depth(a: Thing, b: Thing) -> str | None:
    """How `a`, painted before `b`, stands to it where they meet: "behind", "inside", "around".

    Behind: what is seen of `b`, soft rims apart, clearly hides some of `a`.
    """
    if a.bits & b.bits:
        smaller = min(a.bits.bit_count(), b.bits.bit_count())
        hidden = (a.core & b.core & b.visible).bit_count()
        return "behind" if relations.hides(hidden, smaller) else None
    if inside(a, b):
        return "inside"
    return "around" if inside(b, a) else None


def inside(a: Thing, b: Thing) -> bool:
    """Whether `a` lies in the hole of the ring `b`: within its box, sharing no pixel."""
    return b.kind.shape == "ring" and not a.bits & b.bits and relations.within(a.box, b.box)
