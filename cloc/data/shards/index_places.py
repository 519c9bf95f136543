"""Where the index of a shard lies: beside it, or in a folder of indexes, where it is made.

No torch here: data preparation and the loader both stand on this file.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cloc.data.shards.index import (
    BUFFER_BYTES,
    Stream,
    index_path,
    no_index,
    num_samples,
    scan,
    write_offsets,
)
from cloc.data.shards.range_file import RangeFile
from cloc.data.shards.remote import exists, fetch, file_size, file_stamp, index_url, is_remote
from cloc.errors import BadSample, UserError

AT_ONCE = 8  # indexes that one process makes: behind a URL it mostly waits
LOCKS = 64  # files that stand for all indexes, so that none is made twice at once


def index_key(key: str) -> str:
    """The config key of the folder of indexes, beside the `key` that names shards; "" where the
    command has none."""
    if key.startswith(("data.", "eval.")):
        return "data.index_folder"
    return "index_folder" if key.startswith("splits") or key in ("input", "SHARDS") else ""


@dataclass(frozen=True, slots=True)
class Indexes:
    """Of the shards that `key` names, for messages. One that lies beside its shard is taken; else
    it is kept in `folder` (None: there is no folder) under a name made of the shard's path or URL,
    its size, and its time or etag. Where it is not there either, it is made from the headers alone.
    Many processes may share a folder: one makes an index, the others wait for it.
    """

    folder: str | None
    key: str

    def __post_init__(self) -> None:
        if self.folder is not None and (not str(self.folder) or is_remote(str(self.folder))):
            raise UserError(
                f"{index_key(self.key)}={self.folder}: give a folder of this machine, or null"
            )

    def find(self, path: str) -> str:
        """Path or URL of the index of the shard at `path`. Without a folder it may not be there;
        with one, an index that cannot be made or kept raises `UserError`."""
        if self.folder is None:
            return self.beside(path)
        found = self.there(path)
        return self.keep(path) if found is None else found

    def beside(self, path: str) -> str:
        """`NAME.idx` beside `NAME.tar`."""
        return index_url(path) if is_remote(path) else str(index_path(path))

    def there(self, path: str) -> str | None:
        """As `find`, but None for what is not there."""
        with self._told(path):
            kept = self._kept(path)
        places = [*([] if kept is None else [str(kept)]), self.beside(path)]
        return next(filter(_is_file, places), None)

    def keep(self, path: str, offsets: np.ndarray | None = None) -> str:
        """The path of an index in the folder, made if it is not there; `offsets` where they are
        known already."""
        with self._told(path):
            kept = self._kept(path)
            assert kept is not None
            _make(path, kept, offsets)
        return str(kept)

    def content(self, place: str) -> bytes:
        """Of an index that is there."""
        return fetch(place) if is_remote(place) else Path(place).read_bytes()

    @contextlib.contextmanager
    def _told(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.filename == path:
                raise BadSample(
                    "shard",
                    f"{path}: the shard cannot be opened ({error.strerror}); restore it or change "
                    f"{self.key}",
                ) from None
            raise UserError(
                f"{index_key(self.key)}={self.folder}: the index of {path} cannot be made and kept "
                f"there ({error.strerror}: {error.filename}); give a folder that can be written"
            ) from None

    def measured(self, path: str) -> tuple[int, int]:
        """Samples and bytes of a shard, as its index and its store know them."""
        place = self.find(path)
        if not _is_file(place):
            raise no_index(place, path, index_key(self.key))
        return num_samples(size_of(place), place), size_of(path)

    def make(self, paths: Iterable[str]) -> None:
        """Those that are missing, some at once; what is wrong is told when a shard is opened."""
        if self.folder is not None:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(self._try, paths))

    def _try(self, path: str) -> None:
        with contextlib.suppress(UserError):
            self.find(path)

    def _kept(self, path: str) -> Path | None:
        if self.folder is None:
            return None
        if is_remote(path):
            marks = path, *file_stamp(path)
        else:
            found = os.stat(path)
            marks = os.path.abspath(path), found.st_size, str(found.st_mtime_ns)
        text = "\n".join(map(str, marks)).encode("utf-8", "surrogateescape")
        name = hashlib.sha256(text).hexdigest()[:32]
        return Path(str(self.folder)).expanduser() / name[:2] / f"{name}.idx"


@contextlib.contextmanager
def open_shard(path: str) -> Iterator[Stream]:
    """A file, or a URL by ranges, for `scan` and for reading in its order."""
    if is_remote(path):
        yield RangeFile(path)
        return
    with open(path, "rb", buffering=BUFFER_BYTES) as stream:
        yield stream


def _make(path: str, kept: Path, offsets: np.ndarray | None) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    lock = kept.parent.parent / f"lock{int(kept.name[:8], 16) % LOCKS:02d}"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # goes with the process, however that ends
        if not kept.is_file():  # else another one was faster
            if offsets is None:
                offsets = _scanned(path)
            write_offsets(offsets, kept)


def _scanned(path: str) -> np.ndarray:
    try:
        with open_shard(path) as stream:
            return scan(stream, name=path)
    except UserError as error:  # of this shard alone
        raise BadSample("shard", str(error)) from None


def _is_file(place: str) -> bool:
    return exists(place) if is_remote(place) else os.path.isfile(place)


def size_of(place: str) -> int:
    """In bytes."""
    return file_size(place) if is_remote(place) else os.path.getsize(place)
