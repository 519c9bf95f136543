"""Pairs of pictures whose shapes stand apart: sides, order, between, counts, absolute place."""

from random import Random

from cloc.scenes.kinds import Kind, plural
from cloc.scenes.wherebench.canvas import (
    GAP,
    MARGIN,
    Placed,
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
BETWEEN_SIDES = (160, 180, 200)
PLACE_SIDES = (140, 160, 180)
PLACES = {  # of its centre in the picture: -1, 0 and 1 along both axes
    "in the upper left corner": (-1, -1),
    "in the upper right corner": (1, -1),
    "in the lower left corner": (-1, 1),
    "in the lower right corner": (1, 1),
    "in the middle": (0, 0),
}
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
    three = kinds(rng, 3)
    sides = [one_of(rng, BETWEEN_SIDES) for _ in three]
    widest = max(sides)
    spare = 1000 - 2 * MARGIN - 3 * widest - 2 * GAP
    steps = [widest + GAP + among(rng, 0, spare // 3) for _ in range(2)]
    half = widest // 2 + MARGIN
    start = among(rng, half, 1000 - half - sum(steps))
    tilt = among(rng, -200, 200)
    level = among(rng, half + 30 + max(0, -tilt), 1000 - half - 30 - max(0, tilt))
    bend = among(rng, -30, 30)
    spots = [
        (start, level),
        (start + steps[0], level + tilt * steps[0] // sum(steps) + bend),
        (start + sum(steps), level + tilt),
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
    many, other = kinds(rng, 2)
    side, own = one_of(rng, (140, 160)), one_of(rng, (180, 200))
    numbers = shuffled(rng, one_of(rng, ((1, 2), (1, 3), (2, 3))))
    middle = among(rng, 460, 540)
    reach = own // 2 + GAP + side // 2
    half = side // 2 + MARGIN
    lanes = (half, middle - reach), (middle + reach, 1000 - half)
    spots = [shuffled(rng, _column(rng, lane, side)) for lane in lanes]
    level = among(rng, own // 2 + MARGIN, 1000 - own // 2 - MARGIN)
    anchor = placed(other, own, (middle, level), size=size)
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
    """Two shapes in two of five places of the picture that change places."""
    a, b = kinds(rng, 2)
    sides = one_of(rng, PLACE_SIDES), one_of(rng, PLACE_SIDES)
    here, there = shuffled(rng, list(PLACES))[:2]
    inset = among(rng, MARGIN, 2 * MARGIN), among(rng, MARGIN, 2 * MARGIN)

    def put(kind: Kind, side: int, name: str) -> Placed:
        x, y = (
            500 + toward * (500 - off - side // 2) if toward else 440 + 2 * off
            for toward, off in zip(PLACES[name], inset, strict=True)
        )
        return placed(kind, side, (x, y), size=size)

    shown = [
        [put(a, sides[0], one), put(b, sides[1], other)]
        for one, other in ((here, there), (there, here))
    ]
    ways = (
        (f"{named(a)} {here}", f"{named(b)} {there}"),
        (f"{named(a)} {there}", f"{named(b)} {here}"),
    )
    captions = ways[0][below(rng, 2)], ways[1][below(rng, 2)]
    (x, y), (u, v) = PLACES[here], PLACES[there]
    return Drawn(pictures(rng, *shown, size=size), captions, mirror_swaps=(-x, y) == (u, v))
