"""Pairs of pictures whose shapes meet: one covers, holds or carries another."""

from random import Random

from cloc.scenes.kinds import Kind
from cloc.scenes.relations import Thing, at
from cloc.scenes.wherebench.canvas import (
    FILLED,
    GAP,
    KIND,
    MARGIN,
    Placed,
    among,
    below,
    kinds,
    named,
    one_of,
    placed,
)
from cloc.scenes.wherebench.pair import Drawn, converse_captions, pictures

COVER_SIDES = (260, 300, 340)
RING_SIDES = (440, 480, 520)
HELD_SIDES = (140, 160)
STACK_SIDES = (180, 200, 220)
STACKED = ("circle", "square", "triangle", "ring", "diamond")  # their boxes touch where they do
REFERENCE = 128  # pixels at which it is decided how much covers what


def front_behind(rng: Random, size: int) -> Drawn:
    """Two shapes that overlap; now one is painted last, now the other."""
    while True:
        a, b = kinds(rng, 2, shapes=FILLED)
        sides = one_of(rng, COVER_SIDES), one_of(rng, COVER_SIDES)
        half = max(sides) // 2 + MARGIN
        # Aside along both axes: of a triangle covered from its base up the rest is a triangle.
        offset = [among(rng, 100, 300) * one_of(rng, (-1, 1)) for _ in range(2)]
        first = [among(rng, half + max(0, -d), 1000 - half - max(0, d)) for d in offset]
        spots = [(first[0], first[1]), (first[0] + offset[0], first[1] + offset[1])]
        if _covers_some(a, b, sides, spots):
            break
    one, other = (
        placed(kind, side, spot, size=size)
        for kind, side, spot in zip((a, b), sides, spots, strict=True)
    )
    captions = converse_captions(rng, named(a), named(b), word="in front of", converse="behind")
    shown = pictures(rng, [other, one], [one, other], size=size)
    return Drawn(shown, captions, mirror_swaps=False)


def _covers_some(a: Kind, b: Kind, sides: tuple[int, int], spots: list[tuple[int, int]]) -> bool:
    """Whether either, in front, hides at least 15 % as many pixels as the smaller shape has, and
    they share half as many at most."""
    one, other = (
        _thing(placed(kind, side, spot, size=REFERENCE))
        for kind, side, spot in zip((a, b), sides, spots, strict=True)
    )
    smaller = min(one.bits.bit_count(), other.bits.bit_count())
    hidden, touched = one.core & other.core, one.bits & other.bits
    return 100 * hidden.bit_count() >= 15 * smaller and 2 * touched.bit_count() <= smaller


def _thing(thing: Placed) -> Thing:
    return at(thing.kind, side=thing.side, image_size=REFERENCE, x=thing.x, y=thing.y)


def inside(rng: Random, size: int) -> Drawn:
    """A ring with one shape in its hole and another beside it, which change places."""
    a, b, ring = kinds(rng, 3)
    ring = KIND[ring.colour, "ring"]
    around, side = one_of(rng, RING_SIDES), one_of(rng, HELD_SIDES)
    gap = among(rng, GAP, 1000 - 2 * MARGIN - around - side)
    start = among(rng, MARGIN, 1000 - MARGIN - around - gap - side)
    hub = start + around // 2, among(rng, MARGIN + around // 2, 1000 - MARGIN - around // 2)
    away, half = start + around + gap + side // 2, MARGIN + side // 2
    out = away, among(rng, half, 1000 - half)
    held = hub[0] + _jitter(rng, around, side), hub[1] + _jitter(rng, around, side)
    spots = [hub, held, out]
    if below(rng, 2):
        spots = [(1000 - x, y) for x, y in spots]
    if below(rng, 2):
        spots = [(y, x) for x, y in spots]
    hub, held, out = spots
    shown = [
        [
            placed(ring, around, hub, size=size),
            placed(a, side, spots_of[0], size=size),
            placed(b, side, spots_of[1], size=size),
        ]
        for spots_of in ((held, out), (out, held))
    ]
    captions = _held_captions(rng, named(a), named(b), named(ring))
    return Drawn(pictures(rng, *shown, size=size), captions, mirror_swaps=False)


def _jitter(rng: Random, around: int, side: int) -> int:
    """How far a square of `side` may leave the centre of the hole along each axis: half the side of
    the largest square in the hole is 23 % of the ring."""
    room = around * 20 // 100 - side // 2
    return among(rng, -room, room)


def _held_captions(rng: Random, a: str, b: str, ring: str) -> tuple[str, str]:
    """Of "a is inside" and "b is inside": by the word, by the shape, or from the ring's side."""
    way = below(rng, 3)
    if way == 0:
        one = one_of(rng, (a, b))
        said = f"{one} inside {ring}", f"{one} outside {ring}"
        return said if one == a else said[::-1]
    if way == 1:
        if below(rng, 2):
            return f"{a} inside {ring}", f"{b} inside {ring}"
        return f"{b} outside {ring}", f"{a} outside {ring}"
    return f"{ring} containing {a}", f"{ring} containing {b}"


def on_under(rng: Random, size: int) -> Drawn:
    """A shape that stands on another: the two change places, or a third, in the air, with it."""
    if below(rng, 2):
        return _stacked(rng, size)
    return _floating(rng, size)


def _stacked(rng: Random, size: int) -> Drawn:
    a, b = kinds(rng, 2, shapes=STACKED)
    sides = {a: one_of(rng, STACK_SIDES), b: one_of(rng, STACK_SIDES)}
    high = max(sides.values())
    x = among(rng, high // 2 + MARGIN, 1000 - high // 2 - MARGIN)
    floor = among(rng, 2 * high + MARGIN, 1000 - MARGIN) - high
    shown = []
    for upper, lower in ((a, b), (b, a)):
        below_it = placed(lower, sides[lower], (x, floor + sides[lower] // 2), size=size)
        on_it = _on(placed(upper, sides[upper], (x, 0), size=size), below_it)
        shown.append([on_it, below_it] if upper is a else [below_it, on_it])
    captions = converse_captions(rng, named(a), named(b), word="on", converse="under")
    return Drawn(pictures(rng, *shown, size=size), captions, mirror_swaps=False)


def _floating(rng: Random, size: int) -> Drawn:
    a, b, base = kinds(rng, 3, shapes=STACKED)
    side, own = one_of(rng, STACK_SIDES), one_of(rng, STACK_SIDES)
    widest = max(side, own)
    x = among(rng, widest // 2 + MARGIN, 1000 - widest // 2 - MARGIN)
    gap = among(rng, GAP, 1000 - 2 * MARGIN - 2 * side - own)
    top = among(rng, MARGIN, 1000 - MARGIN - 2 * side - own - gap)
    under = placed(base, own, (x, top + 2 * side + gap + own // 2), size=size)
    shown = []
    for low, high in ((a, b), (b, a)):
        stands = _on(placed(low, side, (x, 0), size=size), under)
        floats = placed(high, side, (x, top + side // 2), size=size)
        shown.append([under, *((stands, floats) if low is a else (floats, stands))])
    captions = f"{named(a)} on {named(base)}", f"{named(b)} on {named(base)}"
    return Drawn(pictures(rng, *shown, size=size), captions, mirror_swaps=False)


def _on(upper: Placed, lower: Placed) -> Placed:
    """`upper` with its lowest row of pixels right above the topmost one of `lower`."""
    return upper._replace(y=lower.y - upper.height)
