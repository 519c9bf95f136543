"""What is wrong with one shard: its tar, its index, its samples and its line in the manifest."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cloc.data.decode import decode_record
from cloc.data.index import index_path, read_index, scan, write_index
from cloc.data.record import SCHEMA, Record
from cloc.data.shard_set import MANIFEST
from cloc.data.sources import caption_only, cloc_regions
from cloc.data.tar import MAX_SAMPLE_BYTES, members
from cloc.errors import BadSample, UserError

_COMMAND = "python scripts/check_shards.py write_index=true"


class Problem(NamedTuple):
    """`reason` is the word it is counted under."""

    reason: str
    line: str


class Shard(NamedTuple):
    """A tar, and what its manifest says of it: None where the folder has none."""

    path: Path
    entry: Mapping[str, Any] | None


def check(
    shard: Shard, *, may_write: bool, see: Callable[[Record], None], progress: Callable[[int], None]
) -> Iterator[Problem]:
    """Every problem of the shard; `see` is given each whole sample, `progress` the bytes read.

    A missing index is written if `may_write`; one that is there is only compared with the tar.
    """
    path, num_samples = shard.path, None
    try:
        with path.open("rb") as file:
            offsets = scan(file, name=str(path))
    except (UserError, OSError) as error:
        yield Problem("tar", f"{error}")
    else:
        num_samples = len(offsets) - 1
        if not num_samples:
            yield Problem("tar", f"{path}: a tar without a sample; remove it or write it again")
        yield from _index_problems(path, offsets, may_write)
        yield from _sample_problems(path, offsets, see, progress)
    if shard.entry is not None:
        yield from _against_manifest(shard, num_samples)


def _index_problems(path: Path, offsets: np.ndarray, may_write: bool) -> Iterator[Problem]:
    place = index_path(path)
    try:
        if place.is_file():
            found = read_index(path)
        elif may_write:
            found = write_index(path)
        else:
            yield Problem("index", f"{path}: there is no index; write it: {_COMMAND} {path}")
            return
    except UserError as error:
        yield Problem("index", str(error))
        return
    if not np.array_equal(found, offsets):
        same = found[: len(offsets)] == offsets[: len(found)]
        first = len(same) if same.all() else int(same.argmin())
        yield Problem(
            "index",
            f"{place}: not the index of {path.name}: {len(found) - 1} samples, the tar has "
            f"{len(offsets) - 1}, the first difference is at sample {first}; remove "
            f"{place.name} and write it again: {_COMMAND} {path}",
        )


def _sample_problems(
    path: Path,
    offsets: np.ndarray,
    see: Callable[[Record], None],
    progress: Callable[[int], None],
) -> Iterator[Problem]:
    with path.open("rb") as file:
        for number, (begin, size) in enumerate(zip(offsets, np.diff(offsets), strict=False)):
            file.seek(int(begin))
            chunk = file.read(min(int(size), MAX_SAMPLE_BYTES + 1))
            where = f"{path}::#{number}"
            try:
                key, found = members(chunk, num_bytes=int(size), where=where)
                record = _record({"__url__": str(path), "__key__": key, **found})
                decode_record(record, f"{path}::{key}")
                yield from (Problem(p.reason, p.message) for p in record.problems)
                see(record)
            except UserError as error:
                yield Problem(_reason(error), str(error))
            progress(int(size))


def _record(raw: Mapping[str, Any]) -> Record:
    """As annotations if they are of our schema or there is nothing else, or else as a caption.

    Public image-text sets have a txt, and often a json of their own beside it.
    """
    if "txt" in raw and SCHEMA.encode() not in raw.get("json", b""):
        return caption_only.parse(raw)
    return cloc_regions.parse(raw)


def _reason(error: UserError) -> str:
    return error.reason if isinstance(error, BadSample) else "sample"


def _against_manifest(shard: Shard, num_samples: int | None) -> Iterator[Problem]:
    """`num_samples` is None where the tar could not be read to its end."""
    path, entry = shard.path, shard.entry
    if not entry:
        line = f"{path}: not in {path.parent / MANIFEST}; write the shards again"
        yield Problem("manifest", line)
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    found = {"samples": num_samples, "bytes": path.stat().st_size, "sha256": digest}
    for name, value in found.items():
        if value is not None and value != entry.get(name):
            says = f"{name} is {value}, the manifest says {entry.get(name)}"
            yield Problem("manifest", f"{path}: {says}; copy or write it again")
