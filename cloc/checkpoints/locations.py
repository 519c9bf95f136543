"""Where checkpoints lie: a local folder, or any store fsspec has a URL for."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import fsspec

from cloc.checkpoints.folder import (
    DIGEST,
    ELSEWHERE,
    FOLDER,
    PARTIAL,
    Place,
    folder_name,
    step_of,
    sync_folder,
)
from cloc.checkpoints.urls import why_not
from cloc.errors import UserError

ATTEMPTS = 5
FIRST_WAIT_S = 0.5  # doubled after every failure: 7.5 s in all


def place_of(run: Path, where: str | None = None) -> Place:
    """Of a run folder: `where` is a folder or a URL, None what the run folder itself says."""
    own = run / FOLDER
    if where is None:
        if not (own / ELSEWHERE).is_file():
            return Folder(own)
        where = (own / ELSEWHERE).read_text().strip()
    if "://" not in where:
        return Folder(Path(where), run=own)
    if why := why_not(where):
        raise UserError(f"checkpoints: {why}, or a folder")
    return Bucket(where, run=own)


class Folder:
    """A local folder: checkpoints are written beside their final place and renamed."""

    def __init__(self, folder: Path, *, run: Path | None = None) -> None:
        self.staging, self.run = folder, run

    def __str__(self) -> str:
        return str(self.staging)

    def steps(self) -> list[int]:
        """A folder without `digest.json` was damaged later, and is visible."""
        if not self.staging.is_dir():
            return []
        found = (step_of(path.name) for path in self.staging.iterdir())
        return sorted(step for step in found if step is not None)

    def open(self, step: int, name: str) -> BinaryIO:
        """For reading."""
        return (self.staging / folder_name(step) / name).open("rb")

    def send(self, file: Path, step: int) -> None:
        """It is there already: all machines stage here."""

    def publish(self, staged: Path, step: int) -> None:
        """One rename: whoever looks sees all of it or nothing."""
        target = self.staging / folder_name(step)
        if target.exists():  # a damaged one, which the run has come to again
            self.remove(step)
        os.rename(staged, target)
        sync_folder(self.staging)

    def remove(self, step: int) -> None:
        """A removal that is killed leaves a name that nobody reads."""
        target = self.staging / folder_name(step)
        doomed = target.with_name(f"{target.name}.removed{PARTIAL}")
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(target, doomed)
        shutil.rmtree(doomed)

    def clean(self) -> None:
        """Everything of a name that nobody reads."""
        self.staging.mkdir(parents=True, exist_ok=True)
        for path in self.staging.glob(f"step-*{PARTIAL}"):
            shutil.rmtree(path)
        point_at(self.run, str(self.staging.resolve()))


class Bucket:
    """A store without rename: the digest is uploaded last, and what has none is invisible."""

    def __init__(self, url: str, *, run: Path) -> None:
        self.url, self.staging, self.run = url.rstrip("/"), run, run
        self.files, self.root = fsspec.core.url_to_fs(self.url)

    def __str__(self) -> str:
        return self.url

    def steps(self) -> list[int]:
        """Of uploads that were finished."""
        return [step for step in self._all() if self.files.exists(self._path(step, DIGEST))]

    def open(self, step: int, name: str) -> Any:
        """For reading."""
        return self.files.open(self._path(step, name), "rb")

    def send(self, file: Path, step: int) -> None:
        """Uploaded from here, and gone here; `OSError` when five attempts have failed."""
        self.files.makedirs(self._path(step), exist_ok=True)
        self._upload(file, self._path(step, file.name))
        file.unlink()

    def publish(self, staged: Path, step: int) -> None:
        """Raises `OSError` when five attempts at a file have failed."""
        if step in self.steps():
            self.remove(step)
        self.files.makedirs(self._path(step), exist_ok=True)
        names = sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*"))
        for name in sorted(names, key=lambda name: name == DIGEST):
            if (staged / name).is_file():
                self._upload(staged / name, self._path(step, name))
        shutil.rmtree(staged)

    def remove(self, step: int) -> None:
        """The digest goes first."""
        with suppress(FileNotFoundError):
            self.files.rm_file(self._path(step, DIGEST))
        self.files.rm(self._path(step), recursive=True)

    def clean(self) -> None:
        """What was staged here, and uploads that were not finished."""
        Folder(self.staging).clean()
        point_at(self.run, self.url)
        for step in set(self._all()) - set(self.steps()):
            self.remove(step)

    def _all(self) -> list[int]:
        self.files.invalidate_cache()  # some stores remember what they were once told
        try:
            names = self.files.ls(self.root, detail=False)
        except FileNotFoundError:
            return []
        return sorted(step for step in map(step_of, names) if step is not None)

    def _path(self, step: int, name: str = "") -> str:
        return f"{self.root}/{folder_name(step)}/{name}".rstrip("/")

    def _upload(self, source: Path, target: str) -> None:
        for attempt in range(ATTEMPTS):
            try:
                self.files.put_file(str(source), target)
                return
            except Exception as error:  # every store has exceptions of its own
                if attempt == ATTEMPTS - 1 or isinstance(error, PermissionError):
                    cause = " ".join(str(error).split()) or type(error).__name__
                    raise OSError(f"{target}: {cause}") from error
                time.sleep(FIRST_WAIT_S * 2**attempt)


def point_at(run: Path | None, where: str) -> None:
    """So that a run folder can be loaded whose checkpoints are elsewhere."""
    if run is not None:
        run.mkdir(parents=True, exist_ok=True)
        (run / ELSEWHERE).write_text(f"{where}\n")
