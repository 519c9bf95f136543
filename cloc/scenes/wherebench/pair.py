"""Two pictures and two captions, each true of exactly one of the pictures."""

from random import Random
from typing import NamedTuple

from cloc.interfaces import Example
from cloc.scenes.wherebench.canvas import Picture, Placed, below


class Item(NamedTuple):
    """Two pictures and two captions: `captions[i]` is true of `examples[i]` and of no other.

    Of look-alikes: `captions[i]` means box i of `examples[0]` and the other box of `examples[1]`.
    The examples are drawn whenever they are looked at.
    """

    key: str
    relation: str
    examples: tuple[Example, Example]
    captions: tuple[str, str]
    mirror_swaps: bool  # mirrored left to right, the pictures exchange their captions


class Drawn(NamedTuple):
    """What the maker of a relation gives; caption i is true of picture i and of no other."""

    pictures: tuple[Picture, Picture]
    captions: tuple[str, str]
    mirror_swaps: bool  # mirrored left to right, each picture shows what the other's caption says


def exchanged(rng: Random, drawn: Drawn) -> Drawn:
    """By the toss of a coin the two change places: neither is first more often."""
    if below(rng, 2):
        return Drawn(drawn.pictures[::-1], drawn.captions[::-1], drawn.mirror_swaps)
    return drawn


def pictures(
    rng: Random, one: list[Placed], other: list[Placed], *, size: int
) -> tuple[Picture, Picture]:
    """Both before the same background, which so tells nothing about which is which."""
    ground = below(rng, 2**30)
    return Picture(size, ground, tuple(one)), Picture(size, ground, tuple(other))


def converse_captions(rng: Random, a: str, b: str, *, word: str, converse: str) -> tuple[str, str]:
    """Where `a` is `word` of `b` in one picture and `b` of `a` in the other.

    Told from either side; the second caption changes the word in half of the items, and the order
    of the nouns in the others.
    """
    ways = (f"{a} {word} {b}", f"{b} {converse} {a}"), (f"{b} {word} {a}", f"{a} {converse} {b}")
    said = below(rng, 2)
    return ways[0][said], ways[1][below(rng, 2)]
