"""Scenes with depth as records and shards: solids on a ground plane under a camera.

A scene depends on (seed, split, index) and the settings alone, so any one can be made by itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import PIL.Image

from cloc.data.samples.record import Caption, Record, Region
from cloc.scenes.depth.draw import draw
from cloc.scenes.depth.facing import with_facing
from cloc.scenes.depth.layout import Layout, Version, draw_layout
from cloc.scenes.depth.place import Placed
from cloc.scenes.depth.solids import FRONTED, class_prompts
from cloc.scenes.depth.words import Words, describe, relational_name
from cloc.scenes.generate import HELD_OUT_RULE, check, png, write_splits
from cloc.scenes.kinds import article

SOURCE = "scenes_depth"
FACING = ("away", "to the left", "towards", "to the right")  # for the viewer


def scenes(
    split: str,
    count: int,
    *,
    seed: int = 0,
    size: int = 64,
    twins: float = 0.4,
    relational: float = 0.0,
    own: float = 0.0,
    facing: bool = False,
) -> Iterator[Record]:
    """`count` records of `split` (train, val or novel), PNG images of `size` pixels.

    `twins` is the share of images with two look-alikes, `relational` the share of regions that are
    named by a relation where one serves; it changes names only, never the image or the captions.
    `own` is the share of scenes that are about another thing's own side; of the rest it is one of
    five kinds as before. With `facing`, see `with_facing`.
    """
    settings: dict[str, Any] = dict(seed=seed, size=size, twins=twins, relational=relational)
    check(split, count, **settings, own=own)
    for index in range(count):
        record = scene(split, index, **settings, own=own)
        yield with_facing(record) if facing else record


def scene(split: str, index: int, **settings: Any) -> Record:
    """Number `index` of what `scenes` gives, for settings that `scenes` accepts."""
    image, record = composed(split, index, **settings)
    return replace(record, image=png(image))


def composed(
    split: str,
    index: int,
    *,
    seed: int,
    size: int,
    twins: float,
    relational: float,
    own: float = 0.0,
) -> tuple[PIL.Image.Image, Record]:
    """The picture of a scene and all that is said of it; the record holds no encoded image yet."""
    layout, look = _laid_out(split, index, seed=seed, size=size, twins=twins, own=own)
    key = f"{split}-{index:08d}"
    return _told(layout, layout.versions[0], Random(look), key, size=size, relational=relational)


def versions(
    split: str, index: int, *, seed: int, size: int, twins: float
) -> list[tuple[PIL.Image.Image, Record]]:
    """The scene and, except of a crowd, the same one with its one relation the other way round:
    camera, ground and every other thing are equal. Regions have their relational names."""
    layout, look = _laid_out(split, index, seed=seed, size=size, twins=twins)
    return [
        _told(layout, version, Random(look), f"{split}-{index:08d}-{i}", size=size, relational=1.0)
        for i, version in enumerate(layout.versions)
    ]


def _laid_out(
    split: str, index: int, *, seed: int, size: int, twins: float, own: float = 0.0
) -> tuple[Layout, int]:
    rng = Random((seed * len(HELD_OUT_RULE) + list(HELD_OUT_RULE).index(split)) << 40 | index)
    kind = "own" if own and rng.random() < own else None  # without, nothing is drawn
    rule, both = HELD_OUT_RULE[split], rng.random() < twins
    layout = draw_layout(rng, size, twins=both, held_out=rule, kind=kind)
    return layout, int(rng.random() * 2**32)


def _told(
    layout: Layout, version: Version, rng: Random, key: str, *, size: int, relational: float
) -> tuple[PIL.Image.Image, Record]:
    image = draw(rng, layout.camera, version.things, size)
    words = describe(rng, layout, version)
    named = [  # drawn last, so that the share changes nothing else
        relational_name(rng, version, words, thing) if rng.random() < relational else None
        for thing in version.things
    ]
    regions = tuple(
        Region(
            box=thing.box,
            text=name.text if name else article(thing.solid.name),
            source=SOURCE,
            negatives=(name.flipped,) if name else (),
            label=thing.solid.name,
        )
        for thing, name in zip(version.things, named, strict=True)
    )
    captions = tuple(Caption(text, SOURCE) for text in words.captions)
    meta = _meta(layout, version, words, size)
    return image, Record(key, b"", "png", size, size, captions, regions, meta)


def _meta(layout: Layout, version: Version, words: Words, size: int) -> dict[str, Any]:
    """What benchmarks ask for, as flat scenes have it, and the exact truth. `things` are in the
    order of the regions: what is painted first is first, the farthest."""
    things = version.things
    place = {thing: i for i, thing in enumerate(things)}
    masks = run_lengths([version.visible[thing] for thing in things], size)
    relation = words.relation
    return {
        "relations": [{"caption": relation.text, "flipped": relation.flipped}] if relation else [],
        "twins": _twins(layout, version, words, place),
        "objects": [thing.solid.name for thing in things],
        "kind": layout.kind,
        "horizon": layout.camera.horizon,
        "pairs": [
            {"region": place[one], "word": word, "other": place[other]}
            for one, word, other in version.pairs
        ],
        "things": [
            {
                "distance": thing.distance,
                "facing": FACING[thing.facing] if thing.solid.shape in FRONTED else None,
                "holder": place[thing.holder] if thing.holder else None,
                "held": thing.held,
                "visible": mask,
            }
            for thing, mask in zip(things, masks, strict=True)
        ],
    }


def _twins(
    layout: Layout, version: Version, words: Words, place: dict[Placed, int]
) -> list[dict[str, Any]]:
    """The two look-alikes, each with its name; empty where there are not just two."""
    both = [pair.one for pair in version.pairs] or layout.crowd
    if len(both) != 2:
        return []
    found = []
    for thing, other in (both, both[::-1]):
        text, flipped = words.given[thing]
        pair = {"region": place[thing], "other": place[other]}
        found.append({**pair, "phrase": text, "flipped": flipped})
    return found


def run_lengths(masks: Sequence[int], size: int) -> list[str]:
    """COCO's run lengths of masks whose bit `y * size + x` is a pixel: column by column from the
    left, what is outside first, with blanks between."""
    raw = b"".join(mask.to_bytes((size * size + 7) // 8, "little") for mask in masks)
    rows = np.frombuffer(raw, np.uint8).reshape(len(masks), -1)
    bits = np.unpackbits(rows, axis=1, count=size * size, bitorder="little")
    lines = bits.reshape(-1, size, size).transpose(0, 2, 1).reshape(len(masks), -1)
    found = []
    for line, turns in zip(lines, lines[:, 1:] != lines[:, :-1], strict=True):
        places = [0] if line[0] else []
        places += (np.flatnonzero(turns) + 1).tolist()
        found.append(" ".join([str(b - a) for a, b in pairwise([0, *places, size * size])]))
    return found


def write_scenes(  # noqa: PLR0913 - a key of configs/import each
    out: Path,
    *,
    train: int,
    val: int,
    novel: int,
    seed: int = 0,
    size: int = 64,
    twins: float = 0.4,
    relational: float = 0.0,
    own: float = 0.0,
    keep_names: bool = False,
    facing: bool = False,
    regions: bool = True,
    samples_per_shard: int = 2500,
) -> None:
    """Shard sets `out/train`, `out/val`, `out/novel` of so many scenes; 0 leaves a split out.

    With `keep_names` every region has its plain name, and a relational one is a region of its own
    in the same box; with `facing` so is where a thing's front points. Without `regions` the
    pictures and captions are the same, and nothing says where things are. A progress bar shows on
    a terminal and in a notebook only.
    """
    counts = {"train": train, "val": val, "novel": novel}
    settings: dict[str, Any] = dict(seed=seed, size=size, twins=twins, relational=relational)
    settings |= {"own": own} if own else {}
    for split, count in counts.items():
        check(split, count, **settings)
    settings |= {"facing": True} if facing else {}
    write_splits(
        out,
        counts,
        lambda split, count: scenes(split, count, **settings),
        source={"name": SOURCE, **settings},
        classes=class_prompts(),
        keep_names=keep_names,
        regions=regions,
        samples_per_shard=samples_per_shard,
    )
