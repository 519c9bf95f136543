"""The vocabulary of scenes: what kinds of objects there are and which never occur in training."""

from dataclasses import dataclass
from functools import cache
from itertools import product

SHAPES = ("circle", "square", "triangle", "star", "ring", "moon", "heart", "diamond")
COLOURS = {
    "red": (222, 38, 38),
    "orange": (246, 138, 18),
    "yellow": (244, 226, 44),
    "green": (36, 158, 56),
    "cyan": (52, 212, 222),
    "blue": (38, 76, 224),
    "purple": (132, 44, 178),
    "pink": (252, 140, 192),
    "brown": (118, 72, 34),
}
TEXTURES = ("solid", "striped")
SIZES = ("small", "large")
HELD_OUT = frozenset(f"{colour} {shape}" for colour, shape in zip(COLOURS, SHAPES, strict=False))


@dataclass(frozen=True, slots=True)
class Kind:
    """All that can be said of an object without its place."""

    shape: str
    colour: str
    texture: str
    size: str
    name: str  # "red star", the class
    full: str  # "small striped red star"


def _kind(size: str, texture: str, colour: str, shape: str) -> Kind:
    name = f"{colour} {shape}"
    return Kind(shape, colour, texture, size, name, f"{size} {texture} {name}")


KINDS = tuple(_kind(*words) for words in product(SIZES, TEXTURES, COLOURS, SHAPES))
SEEN_KINDS = tuple(kind for kind in KINDS if kind.name not in HELD_OUT)
HELD_OUT_KINDS = tuple(kind for kind in KINDS if kind.name in HELD_OUT)


@cache
def resized(kind: Kind, size: str) -> Kind:
    """The same kind but "small" or "large"."""
    return _kind(size, kind.texture, kind.colour, kind.shape)


def article(words: str) -> str:
    """ "a red star", "an orange ring"."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def plural(words: str) -> str:
    """ "red stars", "red boxes"."""
    return words + ("es" if words.endswith("x") else "s")


def class_prompts() -> dict[str, list[str]]:
    """Every class name and the four full forms that stand for it."""
    prompts: dict[str, list[str]] = {}
    for kind in KINDS:
        prompts.setdefault(kind.name, []).append(article(kind.full))
    return prompts
