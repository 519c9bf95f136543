"""The vocabulary of scenes with depth: solids, what they can do, and which never occur in training.

`FRONTED` have a front of their own, `HOLDERS` hold another solid in, on or under them.
"""

from functools import cache
from itertools import product
from typing import NamedTuple

from cloc.scenes.kinds import COLOURS, article

PLAIN = ("ball", "cone", "cup", "bottle")
FRONTED = ("car", "duck", "chair")
HOLDERS = {"bowl": ("in", "beside"), "basket": ("in", "beside")}  # the two places told apart
HOLDERS |= {"box": ("on", "beside"), "table": ("on", "under")}
SHAPES = (*PLAIN, *FRONTED, *HOLDERS)
HELD_OUT = frozenset(f"{colour} {shape}" for colour, shape in zip(COLOURS, SHAPES, strict=False))
# Of the side of the square that a solid is drawn in, tenths; what is held stays recognizable.
WORLD = dict.fromkeys(SHAPES, 10) | {"bowl": 15, "basket": 15, "box": 13, "table": 19}
WORLD |= {"car": 14, "chair": 12, "cone": 11, "cup": 11, "bottle": 12}


class Solid(NamedTuple):
    """All that can be said of an object without its place."""

    shape: str
    colour: str

    @property
    def name(self) -> str:
        """ "red ball", the class."""
        return f"{self.colour} {self.shape}"


ALL = tuple(Solid(shape, colour) for colour, shape in product(COLOURS, SHAPES))


@cache
def solids_of(shape: str, held_out: bool) -> tuple[Solid, ...]:
    """Those of a shape: in all colours, or without the held-out pair."""
    kinds = tuple(solid for solid in ALL if solid.shape == shape)
    return kinds if held_out else tuple(solid for solid in kinds if solid.name not in HELD_OUT)


def class_prompts() -> dict[str, list[str]]:
    """Every class name and the words that stand for it."""
    return {solid.name: [article(solid.name)] for solid in ALL}
