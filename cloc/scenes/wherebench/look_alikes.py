"""Two equal shapes in a picture, and two phrases that each mean one of them by a relation.

The two stand in the same places in both pictures; what moves is what the phrases refer to.
"""

from random import Random
from typing import NamedTuple

from cloc.scenes.wherebench.canvas import (
    GAP,
    MARGIN,
    Picture,
    among,
    below,
    kinds,
    named,
    one_of,
    placed,
)
from cloc.scenes.wherebench.pair import pictures

TWIN_SIDES = (160, 180, 200)
WORDS = (("directly left of", "directly right of"), ("directly above", "directly below"))


class LookAlikes(NamedTuple):
    """Phrase i means twin i in picture 0 and the other twin in picture 1."""

    pictures: tuple[Picture, Picture]  # the twins are their first two things
    phrases: tuple[str, str]
    mirror_swaps: bool  # mirrored left to right, each phrase means the other twin


def look_alikes(rng: Random, size: int) -> LookAlikes:
    """The twins stand one above the other, each with one of two equal references beside it, one
    reference on either side; or the same turned by a quarter."""
    twin, other = kinds(rng, 2)
    side, own = one_of(rng, TWIN_SIDES), one_of(rng, TWIN_SIDES)
    turned = below(rng, 2) == 1
    reach = side // 2 + GAP + own // 2
    rim, high = own // 2 + MARGIN, max(side, own)
    columns = [among(rng, rim + reach, 1000 - rim - reach) for _ in range(2)]
    rows = _rows(rng, high)
    before = [among(rng, rim, column - reach) for column in columns]
    after = [among(rng, column + reach, 1000 - rim) for column in columns]
    aside = [among(rng, -20, 20) for _ in range(2)]
    first = below(rng, 2)  # the twin that has its reference after it in picture 0
    shown = []
    for chosen in (first, 1 - first):
        spots = [*zip(columns, rows, strict=True)]
        spots += [
            ((after if i == chosen else before)[i], row + aside[i]) for i, row in enumerate(rows)
        ]
        if turned:
            spots = [(y, x) for x, y in spots]
        twins = [placed(twin, side, spot, size=size) for spot in spots[:2]]
        shown.append(twins + [placed(other, own, spot, size=size) for spot in spots[2:]])
    phrases = [f"the {twin.name} {word} {named(other)}" for word in WORDS[turned]]
    if first:  # phrase 0 is that of twin 0
        phrases = phrases[::-1]
    made = pictures(rng, *shown, size=size)
    return LookAlikes(made, (phrases[0], phrases[1]), mirror_swaps=not turned)


def _rows(rng: Random, high: int) -> list[int]:
    """Two places across, in either order; a reference may leave its row by 20."""
    rim = high // 2 + MARGIN + 20
    step = high + GAP + 40
    first = among(rng, rim, 1000 - rim - step)
    second = among(rng, first + step, 1000 - rim)
    return [first, second] if below(rng, 2) else [second, first]
