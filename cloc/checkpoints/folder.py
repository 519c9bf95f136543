"""What a checkpoint is: a folder `step-00001000` whose `digest.json` fits every file in it.

Only a folder with that file is a checkpoint, and it is the last thing that becomes visible. A run
folder's checkpoints lie in its `checkpoints/`, or where `checkpoints/elsewhere.txt` says.
"""

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from cloc.errors import UserError

DIGEST = "digest.json"
WEIGHTS = "model.safetensors"
CONFIG = "cloc_config.json"  # the mapping `cloc.models.build.build_model` takes
STATE = "trainer.ckpt"  # everything else, for `torch.load(weights_only=True)`
AVERAGE = "ema.safetensors"  # of the weights, where a run keeps one
MODEL = (WEIGHTS, CONFIG)  # what a model is loaded from
PARTIAL = ".partial"
FOLDER = "checkpoints"  # of a run folder
ELSEWHERE = "elsewhere.txt"
CHUNK_BYTES = 16 << 20


class Damaged(Exception):
    """A checkpoint is not what was saved; the message names the file and what is wrong with it."""


@runtime_checkable
class Place(Protocol):
    """Where the checkpoints of one run lie (see `cloc.checkpoints.locations`)."""

    staging: Path  # a local folder, where new ones are written

    def steps(self) -> list[int]:
        """Of what is visible, in ascending order."""

    def open(self, step: int, name: str) -> Any:
        """One file of a checkpoint, for reading bytes; fsspec's have no type of their own."""

    def send(self, file: Path, step: int) -> None:
        """A file of a draft, from a process that will not publish it."""

    def publish(self, staged: Path, step: int) -> None:
        """Makes a sealed folder visible; whatever had its name before is gone."""

    def remove(self, step: int) -> None:
        """Invisible first, then removed."""

    def clean(self) -> None:
        """Removes what killed saves and removals left."""


class Found(NamedTuple):
    """The newest checkpoint that is whole; step 0 where there is none at all."""

    step: int
    damaged: list[str]  # one line for every newer one


def folder_name(step: int) -> str:
    """`step-00001000`."""
    return f"step-{step:08d}"


def step_of(name: str) -> int | None:
    """None where the last part of a path is not a checkpoint's name."""
    found = re.fullmatch(r"step-(\d{8,})", name.rstrip("/").rpartition("/")[2])
    return int(found[1]) if found else None


class Draft:
    """A checkpoint in the making, in a folder of a name nobody reads.

    Every file is hashed on its way, and on the disk before the next is begun; after `seal` the
    folder can be published.
    """

    def __init__(self, staging: Path, step: int, *, fresh: bool = True) -> None:
        """Not `fresh` is one that another process has begun, perhaps on another machine."""
        self.folder, self.step = staging / f"{folder_name(step)}{PARTIAL}", step
        self.files: dict[str, dict[str, Any]] = {}
        if fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=not fresh)

    @contextmanager
    def file(self, name: str) -> Iterator["HashedFile"]:
        """What is written to it is listed under `name`."""
        with (self.folder / name).open("wb", buffering=0) as raw:
            file = HashedFile(raw)
            try:
                yield file
            except RuntimeError:  # torch.save hides what went wrong below it
                raise file.error or RuntimeError from None
            os.fsync(raw.fileno())
        self.files[name] = {"bytes": file.bytes, "sha256": file.hash.hexdigest()}

    def seal(self) -> None:
        """Writes `digest.json`; from here on nothing may change."""
        listed = {"step": self.step, "files": self.files}
        with self.file(DIGEST) as file:
            file.write(_canonical(listed))
        sync_folder(self.folder)

    def drop(self) -> None:
        """Gives the space back."""
        shutil.rmtree(self.folder, ignore_errors=True)


class HashedFile:
    """A file that is written front to back; it remembers the digest, and why a write failed."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self.raw, self.hash, self.bytes = raw, hashlib.sha256(), 0
        self.error: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        """All of it: a raw file may take less than it is given."""
        rest = memoryview(data).cast("B")
        self.hash.update(rest)
        self.bytes += len(rest)
        try:
            while rest:
                rest = rest[self.raw.write(rest) :]
        except OSError as error:
            self.error = error
            raise
        return self.bytes

    def flush(self) -> None:
        """torch.save wants one; nothing is held back here."""


def sync_folder(folder: Path) -> None:
    """A new name is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def newest(place: Place, names: Collection[str] | None = None) -> Found:
    """Checks every byte, or of every byte of the files `names`; the newest first.

    Raises `UserError` where there are checkpoints and none is whole.
    """
    damaged: list[str] = []
    for step in reversed(place.steps()):
        try:
            check(place, step, names)
            return Found(step, damaged)
        except Damaged as error:
            damaged.append(f"{place}/{folder_name(step)} is damaged: {error}")
    if damaged:
        raise UserError(f"no checkpoint is whole ({'; '.join(damaged)}); restore one of them")
    return Found(0, [])


def check(place: Place, step: int, names: Collection[str] | None = None) -> None:
    """Raises `Damaged` unless the files, or those of `names`, are byte for byte what was saved."""
    listed = _listed(place, step)
    for name in names or listed:
        if name not in listed:
            raise Damaged(f"{DIGEST} does not list {name}")
        size, digest = 0, hashlib.sha256()
        with _readable(place, step, name) as file:
            while chunk := file.read(CHUNK_BYTES):
                size += len(chunk)
                digest.update(chunk)
        if size != listed[name]["bytes"]:
            raise Damaged(f"{name} has {size} bytes, {listed[name]['bytes']} were saved")
        if digest.hexdigest() != listed[name]["sha256"]:
            raise Damaged(f"{name} has other content than was saved")


def _listed(place: Place, step: int) -> dict[str, dict[str, Any]]:
    """Only the very bytes that `Draft.seal` writes are taken: a name twice would hide a file."""
    with _readable(place, step, DIGEST) as file:
        raw = file.read()
    try:
        listed = json.loads(raw)
        files: dict[str, dict[str, Any]] = listed["files"]
        whole = _canonical(listed) == raw and listed["step"] == step
        whole &= all(facts.keys() == {"bytes", "sha256"} for facts in files.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise Damaged(f"{DIGEST} is not the one that was saved")
    return files


@contextmanager
def _readable(place: Place, step: int, name: str) -> Iterator[Any]:
    try:
        with place.open(step, name) as file:
            yield file
    except FileNotFoundError:
        raise Damaged(f"{name} is missing") from None
    except OSError as error:
        raise Damaged(f"{name} cannot be read ({error.strerror or error})") from None


def _canonical(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
