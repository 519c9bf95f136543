"""Raw samples of shards: dictionaries of bytes, allowlisted members only, each whole or none."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cloc.data.samples.record import Record
from cloc.data.shards.index import no_index, parse_index
from cloc.data.shards.index_places import Indexes, index_key
from cloc.data.shards.remote import Cache, file_size, is_remote
from cloc.data.shards.shard_set import ShardSet
from cloc.data.shards.skip_lists import BEHIND, PLACE
from cloc.data.shards.tar import MAX_SAMPLE_BYTES, members
from cloc.errors import BadSample, UserError

# What a file of `sources/` offers: a raw sample as a record.
Parse = Callable[[Mapping[str, Any]], Record]

OPEN_SHARDS = 128  # of one process, with their indexes
FAILED_S = 60.0  # before a shard that could not be read is asked for again; then twice as long


class Reader:
    """Reads single samples: `__key__`, `__url__` and one entry of bytes per member.

    Every read is one of the bytes that the shard's index names, of a file or through the `cache`. A
    sample that is not there whole raises `BadSample("tar")`; all of a shard that cannot be opened
    or read, or whose index counts otherwise than the manifest, `BadSample("shard")` naming it and
    `key`, the config key that named the shards. How much of that is too much is for the caller to
    say. Paths are opened as files and never handed to a shell.
    """

    def __init__(
        self, *, key: str, cache: Cache | None = None, index_folder: str | None = None
    ) -> None:
        self.key, indexes = key, Indexes(index_folder, key)
        opened = partial(_open, indexes=indexes, cache=cache or Cache())
        self._shards = lru_cache(OPEN_SHARDS)(opened)
        self._failed: dict[str, _Failed] = {}

    def __call__(self, path: str, index: int, *, count: int) -> dict[str, Any]:
        """Sample `index` of the shard at `path`, which holds `count` samples."""
        failed = self._failed.get(path)
        try:
            if failed is not None and time.monotonic() < failed.until:
                raise BadSample("shard", failed.why)
            start, end, data = self._read(path, index, count)
        except BadSample as error:
            self._fail(path, str(error))
            raise
        where = f"{path}{BEHIND}{PLACE}{index} of {count}"
        key, found = members(data, num_bytes=end - start, where=where)
        return {"__key__": key, "__url__": path, **found}

    def _read(self, path: str, index: int, count: int) -> tuple[int, int, bytes]:
        shard = self._shards(path)
        if len(shard.offsets) - 1 != count:
            raise BadSample(
                "shard",
                f"{path}: its index counts {len(shard.offsets) - 1} samples, the manifest {count}; "
                f"run cloc-pretrain check-shards on it, or change {self.key}",
            )
        start, end = map(int, shard.offsets[index : index + 2])
        try:
            return start, end, shard.read(start, min(end, start + MAX_SAMPLE_BYTES + 1))
        except OSError as error:
            self._shards.cache_clear()  # a file that another one has replaced is opened anew
            raise _unreadable(path, error, self.key) from None

    def _fail(self, path: str, why: str) -> None:
        now, failed = time.monotonic(), self._failed.get(path, _Failed(0.0, 0, ""))
        if now >= failed.until:
            wait = FAILED_S * 2**failed.times
            self._failed[path] = _Failed(now + wait, failed.times + 1, why)


class _Failed(NamedTuple):
    """A shard that could not be opened or read."""

    until: float  # when it is asked for again; a store may be back
    times: int
    why: str


def _open(path: str, *, indexes: Indexes, cache: Cache) -> "_Shard | _RemoteShard":
    place = indexes.find(path)
    if not is_remote(path) and not os.path.lexists(place) and os.path.isfile(path):
        raise BadSample("shard", str(no_index(place, path, index_key(indexes.key))))
    try:
        return _RemoteShard(path, place, cache) if is_remote(path) else _Shard(path, place)
    except OSError as error:
        raise _unreadable(str(error.filename), error, indexes.key) from None


def _unreadable(path: str, error: OSError, key: str) -> BadSample:
    cause = f"{path}: the shard cannot be opened or read ({error.strerror})"
    return BadSample("shard", f"{cause}; restore it or change {key}")


class _Shard:
    """An open file and its index; closed when nobody holds it any more."""

    def __init__(self, path: str, index: str) -> None:
        self.offsets: np.ndarray = parsed(Path(index).read_bytes(), name=index)
        self.file = os.open(path, os.O_RDONLY)

    def read(self, start: int, end: int) -> bytes:
        """Fewer bytes where the file ends before."""
        return os.pread(self.file, end - start, start)

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)


class _RemoteShard:
    """The same behind a URL."""

    def __init__(self, url: str, index: str, cache: Cache) -> None:
        self.url, self.cache, self.size = url, cache, file_size(url)
        if is_remote(index):
            size = file_size(index)
            data = cache.read(index, 0, size, size=size)
        else:
            data = Path(index).read_bytes()
        self.offsets: np.ndarray = parsed(data, name=index)

    def read(self, start: int, end: int) -> bytes:
        return self.cache.read(self.url, start, end, size=self.size)


def parsed(index: bytes, *, name: str) -> np.ndarray:
    """The offsets of an index; one that is broken is its shard's fault alone."""
    try:
        return parse_index(index, name=name)
    except UserError as error:
        raise BadSample("shard", str(error)) from None


def read_samples(shards: ShardSet, *, key: str) -> Iterator[dict[str, Any]]:
    """All samples in the order of the shards; `key` as for `Reader`."""
    read = Reader(key=key, index_folder=shards.index_folder)
    for number, count in enumerate(shards.counts.tolist()):
        for index in range(count):
            yield read(shards.paths[number], index, count=count)
