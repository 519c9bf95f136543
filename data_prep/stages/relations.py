"""The stage `relations`: region phrases and captions that say where a thing is, from boxes that are
there, and only what is sure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, NamedTuple

import numpy as np

from cloc.data.samples.record import Caption, Record, Region
from cloc.data.samples.relations import IN_THE_PICTURE, OPPOSITE, SYNONYMS
from cloc.data.samples.validate import MAX_CAPTIONS, MAX_NEGATIVES
from cloc.errors import UserError
from data_prep.articles import article
from data_prep.batching import Item, in_batches, prepared, shown_size
from data_prep.depth_maps import DepthMaps
from data_prep.relating import Kinds, Told, margins, tell
from data_prep.stage import Notes

VERSION = 2
SOURCE = "relations"  # of what it writes
LISTS = ("supports", "containers")


class Said(NamedTuple):
    """A sentence or name that is true, and the same with the opposite relation."""

    text: str
    flipped: str


class Relations:
    """Names the share `share` of those regions that a relation tells apart by it, "the cup left of
    the laptop", with the flipped phrase first among the negatives, and adds up to `captions`
    captions, "a cup left of a laptop", last.

    A relation is told where it is beyond the margins of `cloc.data.samples.relations`, to a thing
    whose name occurs once, and all others of the region's name are clearly elsewhere: left of,
    right of, higher and lower in the picture; with masks (`meta["masks"]`) inside and on; with
    depths by `model` in front of and behind, and above and below. All are the viewer's.

    A region's name is its label; without one, in the plural, of `meta["not_exhaustive"]` and under
    `side_at_least` of the picture's shorter side it is not spoken of. `meta["relations"]` and
    `meta["twins"]` are what the benchmarks ask for, as in scenes. Which regions and words are drawn
    depends on `seed` and the key of the record alone.
    """

    name = "relations"

    def __init__(
        self,
        *,
        share: float = 0.5,
        captions: int = 1,
        side_at_least: float = 0.05,
        model: str | None = None,
        revision: str | None = None,
        larger_is: str | None = None,
        batch_size: int = 8,
        device: str = "cpu",
        dtype: str = "float32",
        seed: int = 0,
    ) -> None:
        if not 0 <= share <= 1 or captions < 0 or not 0 <= side_at_least < 1 or batch_size < 1:
            raise UserError(
                f"share={share}, captions={captions}, side_at_least={side_at_least}, "
                f"batch_size={batch_size}; give shares in 0 to 1, captions >= 0, batch_size >= 1"
            )
        self.depth: DepthMaps | None = None
        if model is not None:
            self.depth = DepthMaps(
                model, revision=revision, larger_is=larger_is, device=device, dtype=dtype
            )
        elif larger_is is not None:
            raise UserError(f"larger_is={larger_is} is of a depth model; give its model=")
        self.share, self.captions, self.side_at_least = share, captions, side_at_least
        self.batch_size, self.seed = batch_size, seed

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        """Records of which nothing is sure pass as they are; refusals are counted for a region, or
        for it and one other. With a model, one whose picture cannot be decoded is left out."""
        _check_given(records)
        if self.depth is None:
            return [self._told(record, None, notes) for record in records]
        asked = [(i, record) for i, record in enumerate(records) if len(record.regions) > 1]
        kept = {i: record for i, record in enumerate(records) if len(record.regions) <= 1}
        items = prepared(asked, self.depth.prepare, notes)
        for item, near in in_batches(items, self._near, size=self.batch_size, notes=notes):
            kept[item.place] = self._told(item.record, near, notes)
        return [kept[i] for i in sorted(kept)]

    def describe(self) -> Mapping[str, Any]:
        lists = "\0".join(map(_text, LISTS))
        return {
            "version": VERSION,
            **(self.depth.describe() if self.depth else {"model": None}),
            "share": self.share,
            "captions": self.captions,
            "side_at_least": self.side_at_least,
            "seed": self.seed,
            "margins": margins(),
            "words": hashlib.sha256(lists.encode()).hexdigest(),
        }

    def _near(self, batch: Sequence[Item]) -> list[np.ndarray]:
        assert self.depth is not None
        return self.depth([i.inputs for i in batch], [shown_size(i.record) for i in batch])

    def _told(self, record: Record, near: np.ndarray | None, notes: Notes) -> Record:
        found = list(tell(record, near, notes, kinds=_kinds(), side_at_least=self.side_at_least))
        if not found:
            return record
        rng = Random(f"{self.seed}\0{record.key}")
        names = {t.thing.place: _said(t, rng, name="the") for t in reversed(found)}
        regions = tuple(
            _named(region, names[i]) if i in names and rng.random() < self.share else region
            for i, region in enumerate(record.regions)
        )
        about = sorted((t for t in found if t.alone), key=lambda _: rng.random())
        sentences: dict[frozenset[int], Said] = {}  # one of a pair is enough
        room = min(self.captions, MAX_CAPTIONS - len(record.captions))
        for told in about[:room]:
            pair = frozenset((told.thing.place, told.other.place))
            sentences.setdefault(pair, _said(told, rng, name="a"))
        said = [{"caption": s.text, "flipped": s.flipped} for s in sentences.values()]
        return replace(
            record,
            regions=regions,
            captions=(*record.captions, *(Caption(s.text, SOURCE) for s in sentences.values())),
            meta={
                **record.meta,
                "relations": [*_before(record, "relations"), *said],
                "twins": [*_before(record, "twins"), *_twins(found)],
            },
        )


def _said(told: Told, rng: Random, *, name: str) -> Said:
    """With "the" or the fitting "a" or "an" before both."""
    one, other = (
        f"{article(t.name) if name == 'a' else name} {t.name}" for t in (told.thing, told.other)
    )
    i = int(rng.random() * len(SYNONYMS[told.relation]))
    word, opposite = (_word(told, r, i) for r in (told.relation, OPPOSITE[told.relation]))
    return Said(f"{one} {word} {other}", f"{one} {opposite} {other}")


def _word(told: Told, relation: str, i: int = 0) -> str:
    """The i-th one; above and below are of the picture where depths are not known."""
    is_flat = told.thing.depths is None or told.other.depths is None
    if is_flat and relation in IN_THE_PICTURE:
        return IN_THE_PICTURE[relation]
    return SYNONYMS[relation][i]


def _named(region: Region, said: Said) -> Region:
    before = [text for text in region.negatives if text not in said]
    negatives = (said.flipped, *before)[:MAX_NEGATIVES]
    return replace(region, text=said.text, source=SOURCE, negatives=negatives)


def _twins(found: Sequence[Told]) -> list[dict[str, Any]]:
    """Two that are called alike and stand on two sides of the same thing, each with its phrase in
    the plain words."""
    sides = {(t.other.place, t.thing.name, t.relation): t for t in found if not t.alone}
    twins = []
    for (other, name, relation), told in sides.items():
        rival = sides.get((other, name, OPPOSITE[relation]))
        if rival is not None:
            text = f"the {name} {{}} the {told.other.name}"
            phrase, flipped = (text.format(_word(told, r)) for r in (relation, OPPOSITE[relation]))
            places = {"region": told.thing.place, "other": rival.thing.place}
            twins.append({**places, "phrase": phrase, "flipped": flipped})
    return twins


def _before(record: Record, key: str) -> list[Any]:
    given = record.meta.get(key)
    return list(given) if isinstance(given, list) else []


def _check_given(records: Sequence[Record]) -> None:
    """A shard of nothing that this stage could use is a mistake, told with its cure."""
    regions = [region for record in records for region in record.regions]
    if any(region.label.strip() for region in regions) or not records:
        return
    what = f"none of its {len(regions)} regions has a label" if regions else "it has no regions"
    raise UserError(
        f"the shard of {records[0].key} is of no use to relations: {what}; give annotated boxes "
        "with class names, as import=coco makes them, or stages/relations=none"
    )


@cache
def _kinds() -> Kinds:
    return Kinds(*(frozenset(_text(name).split()) for name in LISTS))


def _text(name: str) -> str:
    return (files("data_prep.stages") / "words" / f"{name}.txt").read_text(encoding="utf-8")
