"""What is wrong with one shard: its tar, its index, its samples and its line in the manifest."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from cloc.data.samples.decode import decode_record
from cloc.data.samples.record import SCHEMA, Record
from cloc.data.samples.tar_cures import repack
from cloc.data.shards.index import no_index, parse_index, scan, write_index
from cloc.data.shards.index_places import Indexes, open_shard, size_of
from cloc.data.shards.manifest import MANIFEST
from cloc.data.shards.tar import MAX_SAMPLE_BYTES, Header, members
from cloc.data.sources import caption_only, cloc_regions
from cloc.errors import BadSample, UserError

_COMMAND = "cloc-pretrain check-shards write_index=true"
_CHUNK_BYTES = 1 << 20


class Problem(NamedTuple):
    """`reason` is the word it is counted under."""

    reason: str
    line: str


class Shard(NamedTuple):
    """Path or URL of a tar, and what its manifest says of it: None where the folder has none."""

    path: str
    entry: Mapping[str, Any] | None


def check(
    shard: Shard,
    *,
    may_write: bool,
    indexes: Indexes,
    see: Callable[[Record], None],
    progress: Callable[[int], None],
) -> Iterator[Problem]:
    """Every problem of the shard; `see` is given each whole sample, `progress` the bytes read.

    A missing index is written if `may_write`, into the folder of `indexes` where there is one; one
    that is there is only compared with the tar.
    """
    path, num_samples, keys = shard.path, None, _Keys(shard.path)
    try:
        with open_shard(path) as file:
            offsets = scan(file, name=path, see=keys)
    except (UserError, OSError) as error:
        yield Problem("tar", f"{error}")
    else:
        num_samples = len(offsets) - 1
        yield from keys.problems()
        yield from _index_problems(path, offsets, indexes, may_write)
        yield from _sample_problems(path, offsets, see, progress)
    if shard.entry is not None:
        yield from _against_manifest(shard, num_samples)


class _Keys:
    """The members of a tar, as `scan` sees them: are those of a key side by side?"""

    def __init__(self, path: str) -> None:
        self.path, self.last, self.other = path, "", ""
        self.suffixes: dict[str, set[str]] = {}
        self.torn: list[str] = []  # keys of which members stand apart
        self.twice: list[str] = []  # keys of two samples

    def __call__(self, header: Header) -> None:
        key = header.key
        if not key:
            self.other = self.other or header.name
            return
        if key != self.last and key in self.suffixes:
            (self.twice if header.suffix in self.suffixes[key] else self.torn).append(key)
        self.suffixes.setdefault(key, set()).add(header.suffix)
        self.last = key

    def problems(self) -> Iterator[Problem]:
        """One line for the whole tar; each sample that is not whole has its own as well."""
        if not self.suffixes:
            line = f"{self.path}: a tar without a sample; remove it or write it again"
            if self.other:
                line += f" (a member is KEY.SUFFIX, {self.other!r} is none)"
            yield Problem("tar", line)
        if self.torn:
            names = ", ".join(sorted(self.suffixes[self.torn[0]]))
            yield Problem(
                "order",
                f"{self.path}: the members of {len(set(self.torn))} keys are not side by side "
                f"({names} of {self.torn[0]!r}), so each is a sample of its own; "
                f"put them together: {repack(self.path)}",
            )
        if self.twice:
            yield Problem(
                "key",
                f"{self.path}: {len(set(self.twice))} keys occur twice, such as {self.twice[0]!r}; "
                "give each sample a key of its own",
            )


def _index_problems(
    path: str, offsets: np.ndarray, indexes: Indexes, may_write: bool
) -> Iterator[Problem]:
    try:
        place = indexes.there(path)
        if place is None and may_write:
            if indexes.folder is None:
                write_index(path)
            else:
                indexes.keep(path, offsets)
            return
        if place is None:
            raise no_index(indexes.beside(path), path)
        found = parse_index(indexes.content(place), name=place, num_bytes=size_of(path))
    except UserError as error:
        yield Problem("index", str(error))
        return
    if not np.array_equal(found, offsets):
        same = found[: len(offsets)] == offsets[: len(found)]
        first = len(same) if same.all() else int(same.argmin())
        name = place.rpartition("/")[2]
        yield Problem(
            "index",
            f"{place}: not the index of {path.rpartition('/')[2]}: {len(found) - 1} samples, the "
            f"tar has {len(offsets) - 1}, the first difference is at sample {first}; remove {name} "
            f"and write it again: {_COMMAND} {path}",
        )


def _sample_problems(
    path: str,
    offsets: np.ndarray,
    see: Callable[[Record], None],
    progress: Callable[[int], None],
) -> Iterator[Problem]:
    with open_shard(path) as file:
        for number, (begin, size) in enumerate(zip(offsets, np.diff(offsets), strict=False)):
            file.seek(int(begin))
            chunk = file.read(min(int(size), MAX_SAMPLE_BYTES + 1))
            where = f"{path}::#{number}"
            try:
                key, found = members(chunk, num_bytes=int(size), where=where)
                record = parse_any({"__url__": path, "__key__": key, **found})
                decode_record(record, f"{path}::{key}")
                yield from (Problem(p.reason, p.message) for p in record.problems)
                see(record)
            except UserError as error:
                yield Problem(_reason(error), str(error))
            progress(int(size))


def parse_any(raw: Mapping[str, Any]) -> Record:
    """As annotations if they are of our schema or there is nothing else, or else as a caption.

    Public image-text sets have a txt and often a json of their own, which may hold the caption.
    """
    details = raw.get("json", b"")
    is_public = SCHEMA.encode() not in details
    if is_public and ("txt" in raw or b'"caption"' in details):
        return caption_only.parse(raw)
    return cloc_regions.parse(raw)


def _reason(error: UserError) -> str:
    return error.reason if isinstance(error, BadSample) else "sample"


def _against_manifest(shard: Shard, num_samples: int | None) -> Iterator[Problem]:
    """`num_samples` is None where the tar could not be read to its end."""
    path, entry = shard.path, shard.entry
    if not entry:
        line = f"{path}: not in {path.rpartition('/')[0]}/{MANIFEST}; write the shards again"
        yield Problem("manifest", line)
        return
    digest = hashlib.sha256()
    with open_shard(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    found = {"samples": num_samples, "bytes": size_of(path), "sha256": digest.hexdigest()}
    for name, value in found.items():
        if value is not None and value != entry.get(name):
            says = f"{name} is {value}, the manifest says {entry.get(name)}"
            yield Problem("manifest", f"{path}: {says}; copy or write it again")
