"""Evaluation splits: annotations in shard order; pictures are read when they are looked at."""

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from cloc.data.samples.decode import decode_shown, origin
from cloc.data.samples.orientation import to_upright
from cloc.data.samples.record import Record, refuse_problems
from cloc.data.samples.validate import is_texts, shown
from cloc.data.shards.manifest import MANIFEST, parse_manifest
from cloc.data.shards.reader import Parse, Reader
from cloc.data.shards.remote import exists, fetch, is_remote
from cloc.data.shards.shard_set import ShardSet, open_shards
from cloc.errors import UserError
from cloc.frame import WHITE, Colour
from cloc.interfaces import Example, Split


def read_split(
    spec: str | Sequence[str],
    *,
    name: str,
    parse: Parse,
    limit: int | None = None,
    key: str = "splits",
    background: Colour = WHITE,
    index_folder: str | None = None,
) -> Split:
    """The first `limit` samples (all where None) of a folder, glob, list file or list of shards.

    Classes and their synonyms are those of the manifest of the one folder that all shards lie in;
    {} where it names none or there is none, which is told where regions have labels. `key` is the
    config key that holds `spec`, for messages; transparent pixels show `background`, the model's,
    and indexes that are missing are made in `index_folder`. Annotations are held in memory, and
    pictures nowhere: each is read and decoded, upright, at every look, by any thread.
    Where no sample has a caption or a region, or a class of the manifest no prompt, `UserError`.
    """
    shards = open_shards(spec, key=key, index_folder=index_folder)
    places = islice(_places(shards, parse, key, background), limit)
    examples = tuple(_example(place.record(), place.picture) for place in places)
    if not any(example.captions or example.phrases for example in examples):
        raise UserError(
            f"{key}={spec}: none of {len(examples)} samples has a caption or a region, so there is "
            f"nothing to measure; set {key} to shards that have some"
        )
    manifest, place = _manifest([shards.paths[i] for i in range(len(shards.paths))])
    classes, synonyms = (_classes(manifest, kind, place) for kind in ("classes", "synonyms"))
    if not classes and any(label for example in examples for label in example.labels):
        print(
            f"{key}={spec}: regions have labels, but no manifest names the classes, so top-1 over "
            "all classes is left out; name shards of one folder with a manifest.json",
            file=sys.stderr,
        )
    return Split(name, examples, classes, synonyms)


@dataclass(frozen=True)
class _Place:
    """Of one sample."""

    read: Reader
    path: str
    index: int
    count: int  # samples of the shard
    parse: Parse
    background: Colour

    def record(self) -> Record:
        return self.parse(self._raw())

    def picture(self) -> PIL.Image.Image:
        raw = self._raw()
        return decode_shown(self.parse(raw), origin(raw), self.background)

    def _raw(self) -> dict[str, Any]:
        return self.read(self.path, self.index, count=self.count)


def _places(shards: ShardSet, parse: Parse, key: str, background: Colour) -> Iterator[_Place]:
    read = Reader(key=key, index_folder=shards.index_folder)
    for number, count in enumerate(shards.counts.tolist()):
        for index in range(count):
            yield _Place(read, shards.paths[number], index, count, parse, background)


def _example(record: Record, picture: Any) -> Example:
    refuse_problems(record)  # without some of its boxes it would be another benchmark
    code = record.orientation
    boxes = np.array([r.box for r in record.regions], np.float64).reshape(-1, 4)
    upright = to_upright(boxes, record.width, record.height, code).astype(np.float32)
    return Example(
        key=record.key,
        image=picture,
        captions=tuple(caption.text for caption in record.captions),
        boxes=upright,
        phrases=tuple(r.text for r in record.regions),
        labels=tuple(r.label for r in record.regions),
        meta=record.meta,
        size=(record.width, record.height) if code < 5 else (record.height, record.width),
        digest=hashlib.blake2b(record.image + upright.tobytes(), digest_size=16).digest(),
        negatives=tuple(r.negatives for r in record.regions),
    )


def _classes(manifest: Mapping[str, Any], kind: str, place: str) -> dict[str, list[str]]:
    """Class -> its prompts, of a manifest that a person may have written; {} where it has none."""
    found = manifest.get(kind) or {}
    if not isinstance(found, dict):
        raise UserError(
            f"{place}: {kind} is {shown(found)}, expected {{class: [prompt, ...]}}; correct it"
        )
    for name, prompts in found.items():
        if not is_texts(prompts):
            raise UserError(
                f"{place}: {kind} has for class {name!r} the prompts {shown(prompts)}, expected a "
                "list of texts; give it at least one"
            )
    return found


def _manifest(paths: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Of the folder of all the shards, and where it is; {} where they lie in several, or it has
    none. One that is broken was told where the folder was named; tars that are named alone do
    without it."""
    folder, *others = {path.rpartition("/")[0] for path in paths}
    place = f"{folder or '.'}/{MANIFEST}"
    if others or not (exists(place) if is_remote(folder) else Path(place).is_file()):
        return {}, place
    try:
        data = fetch(place) if is_remote(folder) else Path(place).read_bytes()
        return parse_manifest(data, place), place
    except UserError:
        return {}, place
