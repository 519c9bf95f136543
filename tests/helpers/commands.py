"""The real scripts, as a person starts them, and what can be plugged into a run by its config."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from lightning.pytorch.loggers import Logger

from cloc import dist
from cloc.interfaces import Embeddings, RegionBatch, Term

ROOT = Path(__file__).parents[2]


def start(script: str, *overrides: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`python scripts/SCRIPT.py OVERRIDES`, on one thread so that numbers repeat."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *overrides],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def succeed(script: str, *overrides: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command ends well and says nothing on stderr: what is written there is for trouble."""
    done = start(script, *overrides, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done


class CountImages:
    """A loss of value 0 that logs how many images all ranks together have in a step."""

    needs: tuple[str, ...] = ("image",)

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term:
        count = dist.total(torch.tensor(float(len(batch.images))))
        return Term(0 * out.image.sum(), {"images": count})


class Stopped(Exception):
    """The run was interrupted."""


class StopAt(Logger):
    """A logger that ends the run in its middle, as a crash would: at the log line of `step`."""

    name, version = "stop", ""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if step == self.step:
            raise Stopped

    def log_hyperparams(self, params: object, *args: object) -> None:
        """Nothing."""
