"""The real scripts, as a person starts them, and what can be plugged into a run by its config."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from lightning.pytorch.loggers import Logger

from cloc import dist
from cloc.interfaces import Embeddings, RegionBatch, Term
from tests.helpers.warm import ROOT, Forked


def start(script: str, *overrides: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`python scripts/SCRIPT.py OVERRIDES`, on one thread so that numbers repeat."""
    argv = [str(ROOT / "scripts" / f"{script}.py"), *overrides]
    with tempfile.TemporaryDirectory() as name:
        out, err = Path(name) / "out", Path(name) / "err"
        process = Forked(argv, cwd=cwd, out=out, err=err)
        try:
            code = process.wait(300)
        finally:
            process.kill()
        return subprocess.CompletedProcess(argv, code, out.read_text(), err.read_text())


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


class Trouble:
    """A loss of value 0 that does `what` on rank `rank` in its call number `step`: `raise`, `sleep`
    (for ever), `not_finite`, or the name of a signal that it sends to its own process."""

    needs: tuple[str, ...] = ("image",)

    def __init__(self, what: str, rank: int, step: int) -> None:
        self.what, self.rank, self.step, self.calls = what, rank, step, 0

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term:
        self.calls += 1
        zero = 0 * out.image.sum()
        if self.calls == self.step and dist.rank() == self.rank:
            if self.what == "not_finite":
                return Term(zero + torch.nan, {})
            if self.what == "raise":
                raise ValueError("trouble on purpose")
            if self.what == "sleep":
                time.sleep(1000)
            else:
                os.kill(os.getpid(), signal.Signals[self.what])
        return Term(zero, {})


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
