"""Scenes, the embedded data set: drawn images with objects, names, captions and relations.

A scene depends on (seed, split, index) and the settings alone, so any one can be made by itself.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import PIL.Image

from cloc.data.samples.record import Caption, Record, Region
from cloc.data.shards.writer import refuse_existing, write_shards
from cloc.errors import UserError
from cloc.scenes.draw import background, paste
from cloc.scenes.kinds import article, class_prompts
from cloc.scenes.layout import Layout, draw_layout
from cloc.scenes.words import Phrase, Words, describe, relational_name
from cloc.terminal import shows_bars, track

HELD_OUT_RULE = {"train": "never", "val": "never", "novel": "always"}
SOURCE = "scenes"


def scenes(
    split: str,
    count: int,
    *,
    seed: int = 0,
    size: int = 64,
    twins: float = 0.4,
    relational: float = 0.0,
) -> Iterator[Record]:
    """`count` records of `split` (train, val or novel), PNG images of `size` pixels.

    `twins` is the share of images with two look-alikes, `relational` the share of regions that are
    named by a relation where one serves; it changes names only, never the image or the captions.
    """
    check(split, count, seed=seed, size=size, twins=twins, relational=relational)
    for index in range(count):
        yield scene(split, index, seed=seed, size=size, twins=twins, relational=relational)


def scene(
    split: str, index: int, *, seed: int, size: int, twins: float, relational: float
) -> Record:
    """Number `index` of what `scenes` gives, for settings that `scenes` accepts."""
    image, record = composed(split, index, seed=seed, size=size, twins=twins, relational=relational)
    return replace(record, image=png(image))


def composed(
    split: str, index: int, *, seed: int, size: int, twins: float, relational: float
) -> tuple[PIL.Image.Image, Record]:
    """The picture of a scene and all that is said of it; the record holds no encoded image yet."""
    rng = Random((seed * len(HELD_OUT_RULE) + list(HELD_OUT_RULE).index(split)) << 40 | index)
    layout = draw_layout(rng, size, twins=rng.random() < twins, held_out=HELD_OUT_RULE[split])
    image = draw(rng, layout, size)
    words = describe(rng, layout)
    names = _relational_names(rng, layout, words, relational)
    record = Record(
        key=f"{split}-{index:08d}",
        image=b"",
        extension="png",
        width=size,
        height=size,
        captions=tuple(Caption(text, SOURCE) for text in words.captions),
        regions=tuple(
            Region(
                box=thing.box,
                text=name.text if name else article(thing.kind.full),
                source=SOURCE,
                negatives=(name.flipped,) if name else (),
                label=thing.kind.name,
            )
            for thing, name in zip(layout.things, names, strict=True)
        ),
        meta=_meta(layout, words),
    )
    return image, record


def draw(rng: Random, layout: Layout, size: int) -> PIL.Image.Image:
    """RGB, `size` pixels square; later things lie over earlier ones."""
    image = background(rng, size)
    for thing in layout.things:
        paste(image, thing.kind, side=thing.side, at=(thing.x, thing.y))
    return image


def png(image: PIL.Image.Image) -> bytes:
    """Encoded quickly, not tightly."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _relational_names(
    rng: Random, layout: Layout, words: Words, share: float
) -> list[Phrase | None]:
    """One per thing; None keeps its full name. Drawn last, so `share` changes nothing else."""
    given = dict(zip(layout.twins or (), words.twins or (), strict=True))
    names: list[Phrase | None] = []
    for i, thing in enumerate(layout.things):
        chosen = rng.random() < share
        names.append((given.get(i) or relational_name(rng, layout, thing)) if chosen else None)
    return names


def _meta(layout: Layout, words: Words) -> dict[str, Any]:
    """What benchmarks ask for; `objects` are full names, back to front like the regions."""
    relations = [words.relation._asdict()] if words.relation else []
    meta: dict[str, Any] = {
        "relations": [{"caption": r["text"], "flipped": r["flipped"]} for r in relations],
        "twins": [],
        "objects": [thing.kind.full for thing in layout.things],
    }
    if layout.twins and words.twins:
        one, other = layout.twins
        for region, rival, phrase in ((one, other, words.twins[0]), (other, one, words.twins[1])):
            meta["twins"].append(
                {"region": region, "other": rival, "phrase": phrase.text, "flipped": phrase.flipped}
            )
    return meta


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
    keep_names: bool = False,
    regions: bool = True,
    samples_per_shard: int = 2500,
) -> None:
    """Shard sets `out/train`, `out/val`, `out/novel` of so many scenes; 0 leaves a split out.

    With `keep_names` every region has its plain name, and a relational one is a region of its own
    in the same box. Without `regions` the pictures and captions are the same, and nothing says
    where things are. A progress bar shows on a terminal and in a notebook only.
    """
    counts = {"train": train, "val": val, "novel": novel}
    settings: dict[str, Any] = dict(seed=seed, size=size, twins=twins, relational=relational)
    for split, count in counts.items():
        check(split, count, **settings)
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


def write_splits(
    out: Path,
    counts: Mapping[str, int],
    records_of: Callable[[str, int], Iterator[Record]],
    *,
    source: Mapping[str, Any],
    classes: Mapping[str, list[str]],
    keep_names: bool,
    regions: bool,
    samples_per_shard: int,
) -> None:
    """A shard set for each split of which there is anything, with what it was made by."""
    if keep_names:
        source = {**source, "keep_names": True}
    for split in counts:
        refuse_existing(out / split)
    quiet = not shows_bars()
    for split, count in counts.items():
        if not count:
            continue
        records = records_of(split, count)
        if keep_names:
            records = map(with_both_names, records)
        if not regions:
            records = (replace(record, regions=(), meta={}) for record in records)
        write_shards(
            track(records, f"scenes {split}", total=count, hidden=quiet),
            out / split,
            samples_per_shard=samples_per_shard,
            extra={
                "classes": classes,
                "source": {"split": split, **source},
            },
        )


def with_both_names(record: Record) -> Record:
    """Every region by its plain name, then those of relational names again, then what there is
    beside them: the places of regions that `meta` speaks of stay."""
    names = record.meta["objects"]
    named, more = record.regions[: len(names)], record.regions[len(names) :]
    plain = [
        replace(region, text=article(name), negatives=())
        for region, name in zip(named, names, strict=True)
    ]
    relational = [region for region in named if region.negatives]
    return replace(record, regions=(*plain, *relational, *more))


def check(
    split: str,
    count: int,
    *,
    seed: int,
    size: int,
    twins: float,
    relational: float,
    own: float = 0.0,
) -> None:
    """`UserError` says what is wrong with settings of scenes and what would do."""
    if split not in HELD_OUT_RULE:
        raise UserError(f"split {split!r} of scenes: choose one of {', '.join(HELD_OUT_RULE)}")
    if count < 0:
        raise UserError(f"{split}={count}: the number of scenes cannot be negative")
    if seed < 0:
        raise UserError(f"seed={seed}: scenes need a seed of 0 or more")
    if not 32 <= size <= 1024:
        raise UserError(f"size={size}: scenes are drawn at 32 to 1024 pixels; set size=64")
    for key, share in (("twins", twins), ("relational", relational), ("own", own)):
        if not 0 <= share <= 1:
            raise UserError(f"{key}={share}: a share lies between 0 and 1")
