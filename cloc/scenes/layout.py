"""Which objects a scene holds and where they lie."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from cloc.data.samples.relations import FLIPPED
from cloc.scenes.draw import side_range
from cloc.scenes.kinds import HELD_OUT, HELD_OUT_KINDS, KINDS, SEEN_KINDS, Kind, resized
from cloc.scenes.relations import Thing, at, inside, placement

AT_LEAST, AT_MOST = 2, 6  # objects of a scene
TRIES = 12  # places tried for an object before the scene goes without it
MIN_VISIBLE = 0.62  # share of an object's pixels that nothing covers
INTO_RING = 0.7  # how often a small object tries the hole of a large ring first


class Layout(NamedTuple):
    """`things` back to front; `twins` are the places of the two look-alikes in it, if any."""

    things: list[Thing]
    twins: tuple[int, int] | None


def draw_layout(rng: Random, size: int, *, twins: bool, held_out: str) -> Layout:
    """2 to 6 objects. `held_out`: "never" draws no held-out pair, "always" at least one."""
    while True:
        kinds = _draw_kinds(rng, twins=twins, held_out=held_out)
        pair: Sequence[Thing] = ()
        things: list[Thing] = []
        if twins:
            things, pair = _arrange_twins(rng, kinds, size)
        # rings first, so that small objects find them
        for kind in sorted(kinds[len(things) :], key=lambda kind: kind.shape != "ring"):
            _add_somewhere(rng, things, kind, size)
        if held_out == "always" and not any(t.kind.name in HELD_OUT for t in things):
            continue
        if len(things) >= AT_LEAST:
            one, other = [i for i, t in enumerate(things) if t in pair] or (-1, -1)
            return Layout(things, (one, other) if twins else None)


def _draw_kinds(rng: Random, *, twins: bool, held_out: str) -> list[Kind]:
    """No two alike but the first two of `twins`, which share no colour and shape with the rest."""
    least = AT_LEAST + twins  # two look-alikes need something to be told apart by
    count = least + int(rng.random() * (AT_MOST + 1 - least)) - twins
    pool = SEEN_KINDS if held_out == "never" else KINDS
    must = int(rng.random() * count) if held_out == "always" else -1
    kinds: list[Kind] = []
    taken = set[str]()
    while len(kinds) < count:
        kind = _pick(rng, HELD_OUT_KINDS if len(kinds) == must else pool)
        words = kind.name if twins else kind.full
        if words not in taken:
            taken.add(words)
            kinds.append(kind)
    return kinds[:1] + kinds if twins else kinds


def _pick(rng: Random, kinds: Sequence[Kind]) -> Kind:
    # of all methods of Random, only the values of random() are the same in every Python version
    return kinds[int(rng.random() * len(kinds))]


def _draw_side(rng: Random, size_name: str, image_size: int) -> int:
    low, high = side_range(size_name, image_size)
    return low + int(rng.random() * (high - low + 1))


def _insert(rng: Random, things: list[Thing], thing: Thing) -> bool:
    """Puts `thing` in front of all others or behind them, unless too much would be covered."""
    if any(_crowded(thing, other) for other in things):
        return False
    if rng.random() < 0.5:
        for other in things:
            thing.visible &= ~other.bits
        if not _seen(thing, thing.visible):
            return False
        things.insert(0, thing)
        return True
    left = [other.visible & ~thing.bits for other in things]
    if not all(_seen(other, bits) for other, bits in zip(things, left, strict=True)):
        return False
    for other, bits in zip(things, left, strict=True):
        other.visible = bits
    things.append(thing)
    return True


def _crowded(a: Thing, b: Thing) -> bool:
    """Whether the two must not lie so: boxes with an IoU above one half, or shared pixels of one
    colour, where nobody could see which is in front."""
    if a.kind.colour == b.kind.colour and a.bits & b.bits:
        return True
    wide = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    high = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    if wide <= 0 or high <= 0:
        return False
    # IoU > 1/2 is: shared area > a third of the sum of both
    return 3 * wide * high > a.width * a.height + b.width * b.height


def _seen(thing: Thing, visible: int) -> bool:
    return visible.bit_count() >= MIN_VISIBLE * thing.bits.bit_count()


def _add_somewhere(rng: Random, things: list[Thing], kind: Kind, size: int) -> None:
    """Tries some places; a crowded scene stays without the object."""
    if kind.size == "small" and _add_into_ring(rng, things, kind, size):
        return
    side = _draw_side(rng, kind.size, size)
    for _ in range(TRIES):
        x = int(rng.random() * (size - side + 1))
        y = int(rng.random() * (size - side + 1))
        if _insert(rng, things, at(kind, side=side, image_size=size, x=x, y=y)):
            return


def _add_into_ring(rng: Random, things: list[Thing], kind: Kind, size: int) -> bool:
    """Only the smallest side fits, and only in the larger rings."""
    side, _ = side_range("small", size)
    for ring in things:
        if ring.kind.shape == "ring" and ring.kind.size == "large" and rng.random() < INTO_RING:
            x = ring.x + (ring.width - side) // 2 + int(rng.random() * 2)
            y = ring.y + (ring.height - side) // 2 + int(rng.random() * 2)
            thing = at(kind, side=side, image_size=size, x=x, y=y)
            return inside(thing, ring) and _insert(rng, things, thing)
    return False


def _arrange_twins(
    rng: Random, kinds: list[Kind], size: int
) -> tuple[list[Thing], tuple[Thing, Thing]]:
    """Two look-alikes on opposite sides of a third object, clearly so; all three, and the two.

    Three large ones do not fit in a row: with large twins the third is small, in `kinds` too.
    """
    if kinds[0].size == "large":
        kinds[2] = resized(kinds[2], "small")
    while True:
        side, middle_side = (_draw_side(rng, kind.size, size) for kind in kinds[1:3])
        spots = _in_a_row(rng, side, middle_side, size)
        if spots is None:
            continue
        one, other, middle = (
            at(kind, side=pixels, image_size=size, x=x, y=y)
            for kind, pixels, (x, y) in zip(kinds, (side, side, middle_side), spots, strict=False)
        )
        things: list[Thing] = []
        relation = placement(one, middle)
        if (
            all(_insert(rng, things, thing) for thing in (one, other, middle))
            and relation is not None  # whole pixels may take the margin away
            and placement(other, middle) == FLIPPED[relation]
        ):
            return things, (one, other)


def _in_a_row(
    rng: Random, side: int, middle_side: int, size: int
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | None:
    """Left upper corners of two squares of `side` and, between them, one of `middle_side`.

    Along one axis the squares touch or overlap a little; across it they may slide. None where the
    three are too long for the image.
    """
    step = (side + middle_side) * 0.42  # between centres; clear needs 0.4
    spare = size - side - 2 * step
    if spare < 0:
        return None
    cuts = sorted(rng.random() * spare for _ in range(3))
    along = [side / 2 + cuts[0], side / 2 + 2 * step + cuts[2], side / 2 + step + cuts[1]]
    widest = max(side, middle_side)
    centre = widest / 2 + rng.random() * (size - widest)
    across = [centre, centre, centre]
    for i in (0, 1):
        reach = abs(along[2] - along[i]) / 1.25
        low, high = max(centre - reach, side / 2), min(centre + reach, size - side / 2)
        across[i] = low + rng.random() * (high - low)
    sides = (side, side, middle_side)
    corners = [
        (int(u - s / 2), int(v - s / 2)) for u, v, s in zip(along, across, sides, strict=True)
    ]
    if rng.random() < 0.5:
        corners = [(y, x) for x, y in corners]
    return corners[0], corners[1], corners[2]
