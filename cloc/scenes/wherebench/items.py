"""WhereBench, version 1: every item by its relation and number, the same on every machine."""

import hashlib
from collections.abc import Callable, Mapping
from random import Random

import numpy as np

from cloc.interfaces import Example
from cloc.scenes.wherebench.apart import above_below, between, count_side, left_right, place
from cloc.scenes.wherebench.canvas import Picture, named
from cloc.scenes.wherebench.contact import front_behind, inside, on_under
from cloc.scenes.wherebench.look_alikes import look_alikes
from cloc.scenes.wherebench.pair import Drawn, Item, exchanged

VERSION = 1  # of the items: a change of any pixel or word is another version
RELATIONS: Mapping[str, Callable[[Random, int], Drawn]] = {
    "left_right": left_right,
    "above_below": above_below,
    "front_behind": front_behind,
    "inside": inside,
    "on_under": on_under,
    "between": between,
    "count_side": count_side,
    "place": place,
}
LOOK_ALIKES = ("left_right", "above_below")


def item(relation: str, number: int, *, size: int) -> Item:
    """Number `number` of `relation`, in pictures of `size` pixels. Boxes are those of all things in
    painting order, whole whether or not they are covered; the caption is the true one."""
    rng = _rng(relation, number)
    drawn = exchanged(rng, RELATIONS[relation](rng, size))
    examples = []
    for slot, (picture, caption) in enumerate(zip(drawn.pictures, drawn.captions, strict=True)):
        kinds = [thing.kind for thing in picture.things]
        examples.append(
            _example(relation, number, slot, picture)._replace(
                captions=(caption,),
                boxes=picture.boxes,
                phrases=tuple(named(kind) for kind in kinds),
                labels=tuple(kind.name for kind in kinds),
            )
        )
    key = f"{relation}-{number:05d}"
    return Item(key, relation, (examples[0], examples[1]), drawn.captions, drawn.mirror_swaps)


def look_alike_item(number: int, *, size: int) -> Item:
    """Number `number` of the look-alikes. Boxes are those of the two twins; the phrase of a box is
    the one that means it in this picture."""
    drawn = look_alikes(_rng("look_alikes", number), size)
    examples = []
    for slot, picture in enumerate(drawn.pictures):
        twins = picture.things[:2]
        examples.append(
            _example("look_alikes", number, slot, picture)._replace(
                boxes=picture.boxes[:2],
                phrases=drawn.phrases if slot == 0 else drawn.phrases[::-1],
                labels=tuple(twin.kind.name for twin in twins),
            )
        )
    key = f"look_alikes-{number:05d}"
    relation = LOOK_ALIKES[not drawn.mirror_swaps]
    return Item(key, relation, (examples[0], examples[1]), drawn.phrases, drawn.mirror_swaps)


def _rng(relation: str, number: int) -> Random:
    return Random(int.from_bytes(_hash(relation, number), "little"))


def _hash(*words: str | int) -> bytes:
    named = "/".join(str(word) for word in ("wherebench", VERSION, *words))
    return hashlib.blake2b(named.encode(), digest_size=16).digest()


def _example(relation: str, number: int, slot: int, picture: Picture) -> Example:
    """The digest is that of the name: the picture follows from it."""
    return Example(
        key=f"{relation}-{number:05d}-{slot}",
        image=picture.draw,
        captions=(),
        boxes=np.zeros((0, 4), np.float32),
        phrases=(),
        labels=(),
        meta={"relation": relation},
        digest=_hash(relation, number, slot, picture.size),
    )
