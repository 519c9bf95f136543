"""Where each sample of a tar lies: an index of byte offsets, made from the headers alone.

No torch here: data preparation and the loader both stand on this file. `NAME.idx` beside `NAME.tar`
holds little-endian 64-bit offsets: where each sample begins, and where the last one ends.
"""

import os
import shlex
import threading
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from cloc.data.samples.tar_cures import foreign
from cloc.data.shards.tar import BLOCK, Broken, Header, headers
from cloc.errors import UserError

BUFFER_BYTES = 4096  # a header and its extensions, and little of the content behind them
_TAIL_BYTES = 1 << 20
_JOINED = "unpack it with tar -xi and pack the files again, or copy it again if it is damaged"
_COMMAND = "cloc-pretrain check-shards write_index=true"


@runtime_checkable
class Stream(Protocol):
    """A local or remote file, open for reading bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def read(self, length: int, /) -> bytes: ...


def scan(stream: Stream, *, name: str, see: Callable[[Header], None] | None = None) -> np.ndarray:
    """Offsets (int64, samples + 1) of the samples of a whole tar, whose content is not read.

    Members are grouped as webdataset does: neighbours with one key are a sample; directories,
    global headers and names without a dot belong to none. A link counts as a member, and makes a
    sample that cannot be read. What is corrupt, cut, without an end mark or followed by something
    raises `UserError` with `name` and the offset. Memory: 8 bytes per sample. `see` is given every
    member.
    """
    begins, key, end = array("q"), "", 0
    at = 0

    def read(offset: int, length: int) -> bytes:
        stream.seek(offset)
        return stream.read(length)

    try:
        for header in headers(read):
            at = header.end
            if see is not None:
                see(header)
            if header.key and header.key != key:
                begins.append(header.begin)
                key = header.key
            end = header.end if header.key else end
        _check_end(stream, at)
    except Broken as error:
        if not error.at and (other := foreign(read(0, BUFFER_BYTES), name)):
            raise UserError(f"{name}: not a readable tar but {other}") from None
        cure = error.cure or "copy or write it again"
        raise UserError(f"{name}: not a readable tar {error}; {cure}") from None
    begins.append(end)
    return np.array(begins, np.int64)


def _check_end(stream: Stream, at: int) -> None:
    """Zeros from `at` to the end of the file, at least one block: without, something is cut off."""
    size = stream.seek(0, os.SEEK_END)
    if size < at + BLOCK:
        raise Broken(size, "it ends without an end mark, so it is cut" if size else "it is empty")
    stream.seek(at)
    while tail := stream.read(_TAIL_BYTES):
        if tail.count(0) < len(tail):
            cause = "zeros until the end were expected (two tars joined into one?)"
            raise Broken(at, cause, _JOINED)
        at += len(tail)


def write_index(tar_path: str | Path) -> np.ndarray:
    """Scans the tar and writes its index, which is returned; there is never half an index.

    A tar that `scan` refuses, or a folder that cannot be written, raises `UserError`.
    """
    path = index_path(tar_path)
    try:
        with open(tar_path, "rb", buffering=BUFFER_BYTES) as stream:
            offsets = scan(stream, name=str(tar_path))
        write_offsets(offsets, path)
    except OSError as error:
        raise UserError(
            f"{path}: the index cannot be written ({error.strerror}); make room, or give "
            "index_folder=DIR, where it is made (to train: data.index_folder=DIR)"
        ) from None
    return offsets


def write_offsets(offsets: np.ndarray, path: Path) -> None:
    """What `parse_index` reads; staged and renamed, so that there is never half an index."""
    writer = f"{os.uname().nodename}.{os.getpid()}.{threading.get_ident()}"
    partial = path.with_name(f"{path.name}.{writer}.partial")  # two may write it at once
    try:
        with partial.open("wb") as file:
            file.write(offsets.astype("<i8").tobytes())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def index_path(tar_path: str | Path) -> Path:
    """`NAME.idx` beside `NAME.tar`."""
    return Path(tar_path).with_suffix(".idx")


def count(tar_path: str | Path) -> int:
    """Samples of a tar, from the size of its index alone; `UserError` where there is none."""
    path = index_path(tar_path)
    try:
        return num_samples(path.stat().st_size, str(path))
    except OSError:
        raise no_index(str(path), str(tar_path)) from None


def no_index(place: str, path: str, key: str = "") -> UserError:
    """There is none at `place` for the shard at `path`; `key` is that of a folder of indexes, ""
    for a command that has none."""
    command = f"{_COMMAND} {'index_folder=DIR ' if '://' in path else ''}{shlex.quote(path)}"
    folder = f", or give {key}=DIR, where it is made and kept" if key else ""
    return UserError(f"{place}: there is no index; write it: {command}{folder}")


def num_samples(num_bytes: int, name: str) -> int:
    """Of an index of so many bytes; `UserError` where none has so many."""
    if num_bytes < 8 or num_bytes % 8:
        raise UserError(
            f"{name}: an index of {num_bytes} bytes, expected a multiple of 8; {_cure(name)}"
        )
    return num_bytes // 8 - 1


def read_index(tar_path: str | Path) -> np.ndarray:
    """The offsets of a local tar (int64, samples + 1), checked against its size."""
    path = index_path(tar_path)
    try:
        data, size = path.read_bytes(), Path(tar_path).stat().st_size
    except OSError as error:
        missing = f"{error.filename}: cannot be read ({error.strerror})"
        raise UserError(f"{missing}; write the index: {_COMMAND} {tar_path}") from None
    return parse_index(data, name=str(path), num_bytes=size)


def parse_index(data: bytes, *, name: str, num_bytes: int | None = None) -> np.ndarray:
    """The content of an index file as offsets (int64, samples + 1), read-only.

    Anything but rising multiples of 512 raises `UserError` naming `name`, as does an end beyond the
    `num_bytes` of the tar; None leaves that to whoever reads the samples.
    """
    num_samples(len(data), name)
    offsets = np.frombuffer(data, "<i8")
    if offsets[0] < 0 or (offsets % BLOCK).any() or (np.diff(offsets) <= 0).any():
        raise UserError(f"{name}: not rising multiples of {BLOCK}, so not an index; {_cure(name)}")
    if num_bytes is not None and offsets[-1] > num_bytes:
        raise UserError(
            f"{name}: the samples end at byte {offsets[-1]:,} but the tar has {num_bytes:,} bytes: "
            f"copy the tar again if it is cut, or else {_cure(name)}"
        )
    return offsets


def _cure(name: str) -> str:
    return f"remove {Path(name).name} and write it again: {_COMMAND} SHARDS"
