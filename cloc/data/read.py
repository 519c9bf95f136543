"""Raw samples of shards: dictionaries of bytes, allowlisted members only, each whole or none."""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from cloc.data.index import no_index, parse_index
from cloc.data.indexes import Indexes, index_key
from cloc.data.record import Record
from cloc.data.remote import Cache, file_size, is_remote
from cloc.data.shard_set import ShardSet
from cloc.data.tar import MAX_SAMPLE_BYTES, members
from cloc.errors import UserError

# What a file of `sources/` offers: a raw sample as a record.
Parse = Callable[[Mapping[str, Any]], Record]

OPEN_SHARDS = 128  # of one process, with their indexes


class Reader:
    """Reads single samples: `__key__`, `__url__` and one entry of bytes per member.

    Every read is one of the bytes that the shard's index names, of a file or through the `cache`. A
    sample that is not there whole raises `BadSample`; a shard that cannot be opened, or whose index
    counts otherwise than the manifest, raises `UserError` naming it and `key`, the config key that
    named the shards. Paths are opened as files and never handed to a shell.
    """

    def __init__(
        self, *, key: str, cache: Cache | None = None, index_folder: str | None = None
    ) -> None:
        self.key, indexes = key, Indexes(index_folder, key)
        opened = partial(_open, indexes=indexes, cache=cache or Cache())
        self._shards = lru_cache(OPEN_SHARDS)(opened)

    def __call__(self, path: str, index: int, *, count: int) -> dict[str, Any]:
        """Sample `index` of the shard at `path`, which holds `count` samples."""
        shard = self._shards(path)
        if len(shard.offsets) - 1 != count:
            raise UserError(
                f"{path}: its index counts {len(shard.offsets) - 1} samples, the manifest {count}; "
                f"run scripts/check_shards.py on it, or change {self.key}"
            )
        start, end = map(int, shard.offsets[index : index + 2])
        data = shard.read(start, min(end, start + MAX_SAMPLE_BYTES + 1))
        where = f"{path}: sample {index} of {count}"
        key, found = members(data, num_bytes=end - start, where=where)
        return {"__key__": key, "__url__": path, **found}


def _open(path: str, *, indexes: Indexes, cache: Cache) -> "_Shard | _RemoteShard":
    place = indexes.find(path)
    return _RemoteShard(path, place, cache) if is_remote(path) else _Shard(path, place, indexes.key)


class _Shard:
    """An open file and its index; closed when nobody holds it any more."""

    def __init__(self, path: str, index: str, key: str) -> None:
        if not os.path.lexists(index) and os.path.isfile(path):
            raise no_index(index, path, index_key(key))
        try:
            self.offsets: np.ndarray = parse_index(Path(index).read_bytes(), name=index)
            self.file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise UserError(
                f"{error.filename}: the shard cannot be opened ({error.strerror}); restore it or "
                f"change {key}"
            ) from None

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
        self.offsets: np.ndarray = parse_index(data, name=index)

    def read(self, start: int, end: int) -> bytes:
        return self.cache.read(self.url, start, end, size=self.size)


def read_samples(shards: ShardSet, *, key: str) -> Iterator[dict[str, Any]]:
    """All samples in the order of the shards; `key` as for `Reader`."""
    read = Reader(key=key, index_folder=shards.index_folder)
    for number, count in enumerate(shards.counts.tolist()):
        for index in range(count):
            yield read(shards.paths[number], index, count=count)
