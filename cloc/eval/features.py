"""Vectors that were computed before: on disk where a file is named, else in memory."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cloc.errors import UserError, one_line

Row = tuple[str, bytes, Tensor]  # kind of answer, digest of what was asked, the answer

WAIT_S = 60.0  # for another evaluation to end its writing
BLOCK = 4 << 20  # numbers of answers that are allocated at once, 16 MiB
_CURES = {  # by what SQLite says
    "locked": "is written to by somebody else ({}); wait until that evaluation has ended",
    "full": "cannot be written ({}); make room, or give features=false",
    "readonly": "cannot be written ({}); give another out=, or features=false",
    "unable to open": "cannot be written ({}); give another out=, or features=false",
    "": "is no file of features ({}); remove it",
}
_TABLE = (
    "create table if not exists rows "
    "(kind text, asked blob, shape text, data blob, primary key (kind, asked))"
)


class Features:
    """The answers of one encoder in one frame through one extractor, by what was asked.

    An answer is float32 of any shape. With a `path` they are kept there and not in memory, batch by
    batch, each whole or not at all: an evaluation that was stopped goes on, a second one asks
    nothing. The name of the file must tell encoders apart (`encoder_digest`); what was asked is
    told apart by its digest. There is no file before there is an answer. `UserError` for a file
    that is none or is damaged, that somebody else writes to for a minute, or that there is no room
    for.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.texts: Features | None = None  # another's, that has answers about texts alike
        self._held: dict[tuple[str, bytes], Tensor] = {}
        self._free = torch.empty(0)
        self._file: sqlite3.Connection | None = None
        self._path = path
        if path is not None and path.exists():
            self._open(path)

    def __contains__(self, key: tuple[str, bytes]) -> bool:
        if key in self._held or self._row("1", *key) is not None:
            return True
        return key[0] == "text" and self.texts is not None and key in self.texts

    def get(self, kind: str, asked: bytes) -> Tensor | None:
        """None where it was not asked before."""
        found = self._held.get((kind, asked))
        if found is None and (row := self._row("shape, data", kind, asked)) is not None:
            found = self._read(*row)
        if found is None and kind == "text" and self.texts is not None:
            found = self.texts.get(kind, asked)
        return found

    def _row(self, columns: str, kind: str, asked: bytes) -> tuple[Any, ...] | None:
        """Of the file; None where it has none, or is none."""
        if self._file is None:
            return None
        query = f"select {columns} from rows where kind = ? and asked = ?"
        with self._told():
            row: tuple[Any, ...] | None = self._file.execute(query, (kind, asked)).fetchone()
        return row

    def put(self, rows: Iterable[Row]) -> None:
        """A batch of answers at once."""
        rows = [(kind, asked, answer.float().contiguous()) for kind, asked, answer in rows]
        if self._path is None:
            self._held.update({(kind, asked): self._copied(x) for kind, asked, x in rows})
            return
        file = self._file or self._open(self._path)
        with self._told(), file:
            file.executemany(
                "insert or replace into rows values (?, ?, ?, ?)",
                [(k, a, ",".join(map(str, x.shape)), x.numpy().tobytes()) for k, a, x in rows],
            )

    def _copied(self, answer: Tensor) -> Tensor:
        """Beside the others: small pieces that stay would lie between the large ones that come and
        go, and no two of those would get the same place again."""
        count = answer.numel()
        if count > len(self._free):
            self._free = torch.empty(max(count, BLOCK))
        own, self._free = self._free[:count], self._free[count:]
        return own.view(answer.shape).copy_(answer)

    def close(self) -> None:
        """Of the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def _open(self, path: Path) -> sqlite3.Connection:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            said = f"{path.parent} {_CURES['readonly'].format(error.strerror)}"
            raise UserError(said) from None
        with self._told():
            self._file = sqlite3.connect(path, timeout=WAIT_S)
            self._file.execute(_TABLE)
        return self._file

    def _read(self, shape: Any, data: Any) -> Tensor:
        """Of a file, so of any type at all."""
        try:
            sides = [int(side) for side in shape.split(",") if side]
            values = np.frombuffer(data, np.float32).reshape(sides)
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{self._path} is damaged ({one_line(error)}); remove it") from None
        if not np.isfinite(values).all():
            raise UserError(f"{self._path} is damaged (a number is not finite); remove it")
        return torch.from_numpy(values.copy())

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            said = one_line(error)
            cure = next((words for word, words in _CURES.items() if word in said), _CURES[""])
            raise UserError(f"{self._path} {cure.format(said)}") from None
