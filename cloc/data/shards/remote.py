"""Shards behind a URL: ranges of bytes through fsspec, retries, a bounded cache on local disk."""

import contextlib
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import fsspec

from cloc.checkpoints.urls import why_not
from cloc.errors import BadSample, UserError

CHUNK_BYTES = 8 << 20  # what is fetched and kept at a time
ATTEMPTS = 5
FIRST_WAIT_S = 0.5  # doubled after every failure: 7.5 s in all
LOCKS = 64  # files that stand for all chunks, so that none is fetched twice at once
CLEAN_EVERY = 16  # chunks, on average
OWN = re.compile(r"[0-9a-f]{32}-\d{6,}")  # the name of a chunk
PARTIAL = ".partial"  # of a chunk; only the holder of its lock writes it

STAMPS = ("ETag", "etag", "LastModified", "last_modified", "updated", "mtime", "created")

T = TypeVar("T")


def is_remote(path: str) -> bool:
    """True for URLs. Whatever a shell or a chain of openers would do is no URL."""
    return "://" in path


def check_url(url: str, key: str) -> None:
    """`UserError` for anything but one URL that can be opened; `key` is the config key that holds
    it."""
    if why := why_not(url):
        raise UserError(f"{key}: {why}")


@dataclass(frozen=True, slots=True)
class Cache:
    """Chunks of remote files in `folder`, shared by all processes that name it.

    It holds `gib` GiB and some 16 chunks more: what was not read for longest is removed at every
    sixteenth chunk that is written.
    """

    folder: str = "~/.cache/cloc/shards"
    gib: float = 50.0

    def read(self, url: str, start: int, end: int, *, size: int) -> bytes:
        """Bytes `start` to `end` of the file of `size` bytes; fewer where it ends before."""
        end, parts = min(end, size), []
        for number in range(start // CHUNK_BYTES, -(-end // CHUNK_BYTES)):
            first = number * CHUNK_BYTES
            part = max(start - first, 0), min(end - first, CHUNK_BYTES)
            try:
                parts.append(self._part(url, number, part, size))
            except OSError as error:  # of this machine: no shard is at fault
                raise UserError(
                    f"data.cache.folder={self.folder} cannot be used ({error.strerror}); make room "
                    "there, or set data.cache.folder or data.cache.gib"
                ) from None
        return b"".join(parts)

    def _part(self, url: str, number: int, part: tuple[int, int], size: int) -> bytes:
        """Of one chunk. A file that was written anew with another size is another file."""
        name = hashlib.sha256(f"{url} {size}".encode()).hexdigest()[:32]
        path = Path(self.folder).expanduser() / name[:2] / f"{name}-{number:06d}"
        if (found := _kept(path, part)) is not None:
            return found
        with _lock(path, number):
            if (found := _kept(path, part)) is not None:  # another process was faster
                return found
            start = number * CHUNK_BYTES
            data = fetch(url, start, min(start + CHUNK_BYTES, size))
            partial = path.with_name(f"{path.name}{PARTIAL}")
            partial.write_bytes(data)
            partial.replace(path)
        if (int(name[:8], 16) + number) % CLEAN_EVERY == 0:
            self.clean()
        return data[slice(*part)]

    def clean(self) -> None:
        """Removes what has not been read for longest, until `gib` GiB are left. Other files that
        the folder holds are somebody else's."""
        files = []
        for path in Path(self.folder).expanduser().glob("*/*-*"):
            # a partial one is being written, or written anew after a crash
            if not OWN.fullmatch(path.name) or path.parent.name != path.name[:2]:
                continue
            with contextlib.suppress(FileNotFoundError):  # another process cleans too
                files.append((path.stat().st_mtime, path.stat().st_size, path))
        over = sum(size for _, size, _ in files) - self.gib * (1 << 30)
        for _, size, path in sorted(files):
            if over <= 0:
                return
            path.unlink(missing_ok=True)
            over -= size


def index_url(url: str) -> str:
    """`.../NAME.idx` beside `.../NAME.tar`."""
    return url.removesuffix(".tar") + ".idx"


def fetch(url: str, start: int = 0, end: int | None = None) -> bytes:
    """Bytes `start` to `end` (or all) straight from the store."""
    files, path = fsspec.core.url_to_fs(url)

    def once() -> bytes:
        data: bytes = files.cat_file(path, start=start, end=end)
        if end is None or len(data) == end - start:
            return data
        if len(data) > end - start:
            raise UserError(f"{url}: its server ignores byte ranges; use one that serves them")
        raise OSError(f"{len(data)} of {end - start} bytes came")

    return _retried(url, once)


def file_size(url: str) -> int:
    """In bytes."""
    files, path = fsspec.core.url_to_fs(url)

    def once() -> int:
        size = files.size(path)
        if size is None:
            raise UserError(f"{url}: its server does not tell its size; use one that does")
        return int(size)

    return _retried(url, once)


def file_stamp(url: str) -> tuple[int, str]:
    """Size in bytes, and what changes with the content where the store tells it: etag or time."""
    files, path = fsspec.core.url_to_fs(url)
    found = _retried(url, lambda: files.info(path))
    stamps = (found.get(name) for name in STAMPS)
    return file_size(url), next((str(stamp) for stamp in stamps if stamp), "")


def exists(url: str) -> bool:
    """Whether there is such a file; False too where the store says that it may not be read."""
    files, path = fsspec.core.url_to_fs(url)
    try:
        return bool(_retried(url, lambda: files.exists(path)))
    except UserError:
        return False


def _retried(url: str, once: Callable[[], T]) -> T:
    """What is not there is not asked for again; everything else may pass. A failure is that of the
    shard: `BadSample`."""
    for attempt in range(ATTEMPTS):
        try:
            return once()
        except (FileNotFoundError, PermissionError) as error:
            cause = type(error).__name__
            what = f"{url}: {cause}; check the URL and your rights"
            raise BadSample("shard", what) from None
        except UserError:
            raise
        except Exception as error:  # every store has exceptions of its own
            if attempt == ATTEMPTS - 1:
                cause = " ".join(str(error).split()) or type(error).__name__
                what = f"{url}: {cause} ({ATTEMPTS} attempts); try again later"
                raise BadSample("shard", what) from None
            time.sleep(FIRST_WAIT_S * 2**attempt)
    raise AssertionError


def _kept(path: Path, part: tuple[int, int]) -> bytes | None:
    """Only the part is read: a chunk holds many samples."""
    try:
        with path.open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), part[1] - part[0], part[0])
        os.utime(path)  # read just now: the last to go
    except FileNotFoundError:
        return None
    return data


@contextlib.contextmanager
def _lock(path: Path, number: int) -> Iterator[None]:
    """One of the fetching processes; the lock goes with the process, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = (int(path.name[:8], 16) + number) % LOCKS
    with (path.parent.parent / f"lock{name:02d}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
