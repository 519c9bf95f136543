"""Pairs of pictures whose shapes stand apart: sides, order, between, counts, absolute place."""

from random import Random

from cloc.scenes.kinds import Kind, plural
from cloc.scenes.wherebench.canvas import (
    FILLED,
    GAP,
    MARGIN,
    among,
    below,
    kinds,
    named,
    one_of,
    placed,
    shuffled,
)
from cloc.scenes.wherebench.pair import Drawn, converse_captions, pictures

SIDES = (180, 200, 220, 240, 260)
BETWEEN_SIDES = (110, 120, 130)
PLACE_SIDES = (140, 160, 180)
QUARTERS = {  # columns and rows of two
    "in the upper left quarter": (0, 0),
    "in the upper right quarter": (1, 0),
    "in the lower left quarter": (0, 1),
    "in the lower right quarter": (1, 1),
}
MANY_SIDES, ANCHOR_SIDES = (110, 120, 130), (130, 140, 150)
# Where the patches cut a shape tells its place, unless places vary by about a patch or more: by an
# eighth of the side where there is no more room, by a seventh where there is.
LANE, PERIOD = 125, 142
NUMBERS = ("no", "one", "two", "three")


def left_right(rng: Random, size: int) -> Drawn:
    """Two shapes side by side that change places."""
    return _in_line(rng, size, across=False)


def above_below(rng: Random, size: int) -> Drawn:
    """Two shapes one above the other that change places."""
    return _in_line(rng, size, across=True)


def _in_line(rng: Random, size: int, *, across: bool) -> Drawn:
    a, b = kinds(rng, 2)
    sides = one_of(rng, SIDES), one_of(rng, SIDES)
    half = max(sides) // 2 + MARGIN
    distance = sum(sides) // 2 + among(rng, GAP, 300)
    aside = among(rng, -2 * distance // 5, 2 * distance // 5)
    along = among(rng, half, 1000 - half - distance)
    beside = among(rng, half + max(0, -aside), 1000 - half - max(0, aside))
    spots = (along, beside), (along + distance, beside + aside)
    if across:
        spots = spots[0][::-1], spots[1][::-1]
    shown = [
        [
            placed(kind, side, spot, size=size)
            for kind, side, spot in zip((a, b), sides, order, strict=True)
        ]
        for order in (spots, spots[::-1])
    ]
    word, converse = ("above", "below") if across else ("left of", "right of")
    captions = converse_captions(rng, named(a), named(b), word=word, converse=converse)
    return Drawn(pictures(rng, *shown, size=size), captions, mirror_swaps=not across)


def between(rng: Random, size: int) -> Drawn:
    """Three shapes in a row; the middle one changes places with one at an end."""
    three = kinds(rng, 3, shapes=FILLED)
    sides = [one_of(rng, BETWEEN_SIDES) for _ in three]
    half = max(sides) // 2 + MARGIN
    middle = among(rng, 500 - PERIOD // 2, 500 + PERIOD // 2)
    most = 500 - PERIOD // 2 - half
    before, after = (among(rng, max(sides) + GAP, most) for _ in range(2))
    tilt = among(rng, -200, 200)
    level = among(rng, half + 30 + max(0, -tilt), 1000 - half - 30 - max(0, tilt))
    bend = among(rng, -30, 30)
    spots = [
        (middle - before, level),
        (middle, level + tilt * before // (before + after) + bend),
        (middle + after, level + tilt),
    ]
    if below(rng, 2):
        spots = [(y, x) for x, y in spots]
    shown, captions = [], []
    end = 2 * below(rng, 2)
    for order in ([0, 1, 2], [1, 0, 2] if end == 0 else [0, 2, 1]):
        things = [
            placed(three[i], sides[i], spot, size=size)
            for i, spot in zip(order, spots, strict=True)
        ]
        shown.append(sorted(things, key=lambda thing: three.index(thing.kind)))
        ends = shuffled(rng, [named(three[order[0]]), named(three[order[2]])])
        captions.append(f"{named(three[order[1]])} between {ends[0]} and {ends[1]}")
    return Drawn(pictures(rng, *shown, size=size), (captions[0], captions[1]), mirror_swaps=False)


def count_side(rng: Random, size: int) -> Drawn:
    """Equal shapes on two sides of another; the two numbers change sides."""
    many, other = kinds(rng, 2, shapes=FILLED)
    side, own = one_of(rng, MANY_SIDES), one_of(rng, ANCHOR_SIDES)
    numbers = shuffled(rng, one_of(rng, ((1, 2), (1, 3), (2, 3))))
    half = side // 2 + MARGIN
    lanes = (half, half + LANE), (1000 - half - LANE, 1000 - half)
    spots = [shuffled(rng, _column(rng, lane, side)) for lane in lanes]
    level = among(rng, own // 2 + MARGIN, 1000 - own // 2 - MARGIN)
    anchor = placed(other, own, (500, level), size=size)
    shown = [
        [placed(many, side, spot, size=size) for spot in spots[0][:left] + spots[1][:right]]
        + [anchor]
        for left, right in (numbers, numbers[::-1])
    ]
    here = below(rng, 2)
    words = ("left of", "right of")
    true = _counted(many, numbers[here], words[here], other)
    if below(rng, 2):
        false = _counted(many, numbers[1 - here], words[here], other)
    else:
        false = _counted(many, numbers[here], words[1 - here], other)
    return Drawn(pictures(rng, *shown, size=size), (true, false), mirror_swaps=True)


def _column(rng: Random, lane: tuple[int, int], side: int) -> list[tuple[int, int]]:
    """Three places one below the other, clear of each other."""
    height = (1000 - 2 * MARGIN) // 3
    return [
        (
            among(rng, *lane),
            MARGIN + row * height + among(rng, side // 2 + 15, height - side // 2 - 15),
        )
        for row in range(3)
    ]


def _counted(many: Kind, number: int, word: str, other: Kind) -> str:
    """With "exactly": two are there where three are, in another reading of "two"."""
    name = many.name if number == 1 else plural(many.name)
    return f"exactly {NUMBERS[number]} {name} {word} {named(other)}"


def place(rng: Random, size: int) -> Drawn:
    """Two shapes in two quarters of the picture that change places, each by halves of a side."""
    two = kinds(rng, 2)
    sides = [one_of(rng, PLACE_SIDES) for _ in two]
    here, there = shuffled(rng, list(QUARTERS))[:2]
    low, high = 250 - PERIOD // 2, 250 + PERIOD // 2
    inner = [(among(rng, low, high), among(rng, low, high)) for _ in two]
    shown = []
    for names in ((here, there), (there, here)):
        spots = [
            (x + 500 * QUARTERS[name][0], y + 500 * QUARTERS[name][1])
            for (x, y), name in zip(inner, names, strict=True)
        ]
        things = zip(two, sides, spots, strict=True)
        shown.append([placed(kind, side, spot, size=size) for kind, side, spot in things])
    one, other = (named(kind) for kind in two)
    true = one_of(rng, (f"{one} {here}", f"{other} {there}"))
    false = one_of(rng, (f"{one} {there}", f"{other} {here}"))
    (x, y), (u, v) = QUARTERS[here], QUARTERS[there]
    mirror_swaps = x != u and y == v
    return Drawn(pictures(rng, *shown, size=size), (true, false), mirror_swaps)
