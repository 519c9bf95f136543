"""A logger that appends one JSON object per logged step to `metrics.jsonl`; always on."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only


class JSONLLogger(Logger):
    """Lines are `{"step": n, name: value, ...}`; a resumed run appends, in the place of a last line
    that a kill has cut off."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path, self.begun = Path(folder) / "metrics.jsonl", False

    @property
    def name(self) -> str:
        """Lightning wants one."""
        return "jsonl"

    @property
    def version(self) -> str:
        """Lightning wants one; the run folder is the version."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Flushed line by line, so that a killed run keeps what it logged."""
        row = {"step": step, **{k: float(v) for k, v in metrics.items() if k != "epoch"}}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            if not self.begun:
                file.truncate(_whole(self.path))
                self.begun = True
            file.write(json.dumps(row).encode() + b"\n")

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any) -> None:
        """Nothing: the resolved config is a file of its own in the run folder."""


def _whole(path: Path) -> int:
    """Bytes up to the end of the last whole line."""
    return path.read_bytes().rfind(b"\n") + 1
