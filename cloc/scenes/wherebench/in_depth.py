"""WhereBench, version 2: solids under a camera, every item by its relation and number.

Each size has items of its own: where a thing fits is decided by its pixels.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache, partial
from random import Random

import numpy as np
import PIL.Image

from cloc.interfaces import Example
from cloc.scenes.depth.camera import draw_camera
from cloc.scenes.depth.draw import draw
from cloc.scenes.depth.layout import Layout, draw_crowd, draw_layout
from cloc.scenes.depth.place import Placed
from cloc.scenes.depth.words import describe
from cloc.scenes.kinds import article
from cloc.scenes.wherebench.canvas import below
from cloc.scenes.wherebench.pair import Item

VERSION = 2  # of the items: a change of any pixel or word is another version
# relation -> the kind of a layout that shows it
RELATIONS: Mapping[str, str] = {
    "left_right": "across",
    "front_behind": "along",
    "own_side_by_side": "own",
    "own_in_line": "own",
    "in_beside": "hold",
    "on_beside": "hold",
    "on_under": "hold",
}
RANK = "nearer_farther"
LOOK_ALIKES = (*RELATIONS, RANK)
LEVEL = 10  # tenths: two side by side are as far away within one of them

Shown = tuple[Layout, int]  # and which of its versions


def item(relation: str, number: int, *, size: int) -> Item:
    """Number `number` of `relation`, in pictures of `size` pixels; the caption of an example is the
    true one. Boxes are those of all things, whole whether or not they are covered."""
    shown = _drawn(relation, number, size, False)
    captions = _caption(relation, number, shown[0]), _caption(relation, number, shown[1])
    examples = []
    for slot, (layout, version) in enumerate(shown):
        things = layout.versions[version].things
        names = [thing.solid.name for thing in things]
        examples.append(
            _example(relation, number, slot, size, twins=False, things=things)._replace(
                captions=(captions[slot],),
                phrases=tuple(article(name) for name in names),
                labels=tuple(names),
            )
        )
    key = f"{relation}-{number:05d}"
    return Item(key, relation, (examples[0], examples[1]), captions, _mirror_swaps(shown))


def look_alike_item(relation: str, number: int, *, size: int) -> Item:
    """Number `number` of the look-alikes of `relation`. Boxes are those of the two twins; the
    phrase of a box is the one that means it in this picture."""
    shown = _drawn(relation, number, size, True)
    twins = _candidates(shown)
    layout, version = shown[0]
    words = describe(_rng(relation, number, "words"), layout, layout.versions[version]).given
    phrases = words[twins[0][0]].text, words[twins[0][1]].text
    examples = []
    for slot, both in enumerate(twins):
        examples.append(
            _example(relation, number, slot, size, twins=True, things=both)._replace(
                phrases=phrases if slot == 0 else phrases[::-1],
                labels=tuple(twin.solid.name for twin in both),
            )
        )
    key = f"{relation}-{number:05d}"
    return Item(key, relation, (examples[0], examples[1]), phrases, _mirror_swaps(shown))


@lru_cache(maxsize=64)  # a picture is drawn whenever it is looked at: an item's two, and a batch's
def _drawn(relation: str, number: int, size: int, twins: bool) -> tuple[Shown, Shown]:
    """Both scenes of an item; which is the first is the toss of a coin."""
    rng = _rng(relation, number, f"{size} {twins}")
    if relation == RANK:
        return _two_crowds(rng, size)
    while True:
        layout = draw_layout(rng, size, twins=twins, held_out="never", kind=RELATIONS[relation])
        if relation_of(layout) == relation:
            first = below(rng, 2)
            return (layout, first), (layout, 1 - first)


def _two_crowds(rng: Random, size: int) -> tuple[Shown, Shown]:
    """Two of a solid, and elsewhere two of it again. Their places tell which is the nearer, so
    boxes alone do: what they get is the line to beat."""
    layout = draw_layout(rng, size, twins=True, held_out="never", kind="crowd")
    solid = layout.crowd[0].solid
    other = None
    while other is None:
        other = draw_crowd(rng, solid, draw_camera(rng), size, any_pair=False, count=2)
    return (layout, 0), (other, 0)


def relation_of(layout: Layout) -> str:
    """Of one that has two versions."""
    pairs = [version.pairs[0] for version in layout.versions]
    if layout.kind == "own":
        one, _, other = pairs[0]
        level = LEVEL * abs(one.distance - other.distance) < one.distance
        return "own_side_by_side" if level else "own_in_line"
    words = [pair.word.removesuffix(" of") for pair in pairs]
    found = [f"{a}_{b}".replace("in front", "front") for a, b in (words, words[::-1])]
    [relation] = RELATIONS.keys() & set(found)
    return relation


def _candidates(shown: tuple[Shown, Shown]) -> tuple[list[Placed], list[Placed]]:
    """The two look-alikes of each picture. A phrase that means the first of them in one picture
    means the second in the other."""
    one, other = (
        [pair.one for pair in layout.versions[version].pairs] or list(layout.crowd)
        for layout, version in shown
    )
    if shown[0][0].crowd and _first_is_nearer(one) == _first_is_nearer(other):
        other = other[::-1]
    return one, other


def _first_is_nearer(crowd: list[Placed]) -> bool:
    return crowd[0].distance < crowd[1].distance


def _caption(relation: str, number: int, shown: Shown) -> str:
    layout, version = shown
    told = describe(_rng(relation, number, "words"), layout, layout.versions[version]).relation
    assert told is not None  # only a crowd has none
    return told.text


def _mirror_swaps(shown: tuple[Shown, Shown]) -> bool:
    layout, version = shown[0]
    pairs = layout.versions[version].pairs
    return bool(pairs) and pairs[0].word.split()[0] in ("left", "right")


def _example(
    relation: str, number: int, slot: int, size: int, *, twins: bool, things: list[Placed]
) -> Example:
    """The digest is that of the name: the picture follows from it."""
    name = _hash(relation, number, slot, size, twins)
    return Example(
        key=f"{relation}-{number:05d}-{slot}",
        image=partial(_picture, relation, number, slot, size, twins),
        captions=(),
        boxes=np.array([thing.box for thing in things], np.float32).reshape(-1, 4),
        phrases=(),
        labels=(),
        meta={"relation": relation},
        digest=name,
    )


def _picture(relation: str, number: int, slot: int, size: int, twins: bool) -> PIL.Image.Image:
    """Both pictures of an item have the same ground."""
    layout, version = _drawn(relation, number, size, twins)[slot]
    rng = _rng(relation, number, "ground")
    return draw(rng, layout.camera, layout.versions[version].things, size)


def _rng(relation: str, number: int, part: str) -> Random:
    return Random(int.from_bytes(_hash(relation, number, part), "little"))


def _hash(*words: str | int) -> bytes:
    named = "/".join(str(word) for word in ("wherebench", VERSION, *words))
    return hashlib.blake2b(named.encode(), digest_size=16).digest()
