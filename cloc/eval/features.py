"""Vectors that were computed before, in memory and, where a file is named, on disk."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cloc.errors import UserError

Row = tuple[str, bytes, Tensor]  # kind of answer, digest of what was asked, the answer

_TABLE = (
    "create table if not exists rows "
    "(kind text, asked blob, shape text, data blob, primary key (kind, asked))"
)


class Features:
    """The answers of one encoder in one frame through one extractor, by what was asked.

    An answer is float32 of any shape. With a `path` they are also kept there, batch by batch, each
    whole or not at all: an evaluation that was stopped goes on, a second one asks nothing. The name
    of the file must tell encoders apart (`encoder_digest`); what was asked is told apart by its
    digest.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._held: dict[tuple[str, bytes], Tensor] = {}
        self._file: sqlite3.Connection | None = None
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = sqlite3.connect(path, timeout=60.0)
            self._file.execute(_TABLE)
        except sqlite3.Error as error:
            raise UserError(f"{path} is no file of features ({error}); remove it") from None

    def __contains__(self, key: tuple[str, bytes]) -> bool:
        return self.get(*key) is not None

    def get(self, kind: str, asked: bytes) -> Tensor | None:
        """None where it was not asked before."""
        found = self._held.get((kind, asked))
        if found is None and self._file is not None:
            query = "select shape, data from rows where kind = ? and asked = ?"
            row = self._file.execute(query, (kind, asked)).fetchone()
            if row is not None:
                shape = [int(side) for side in row[0].split(",") if side]
                values = np.frombuffer(row[1], np.float32).reshape(shape).copy()
                found = self._held[kind, asked] = torch.from_numpy(values)
        return found

    def put(self, rows: Iterable[Row]) -> None:
        """A batch of answers at once."""
        rows = [(kind, asked, answer.float().contiguous()) for kind, asked, answer in rows]
        self._held.update({(kind, asked): answer for kind, asked, answer in rows})
        if self._file is None:
            return
        with self._file:
            self._file.executemany(
                "insert or replace into rows values (?, ?, ?, ?)",
                [(k, a, ",".join(map(str, x.shape)), x.numpy().tobytes()) for k, a, x in rows],
            )

    def close(self) -> None:
        """Of the file, if there is one."""
        if self._file is not None:
            self._file.close()
