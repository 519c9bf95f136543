"""The real training command as processes that can be looked for, signalled and timed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.helpers.commands import ROOT

TWO = ("trainer.devices=2", "trainer.strategy=ddp")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


class Run:
    """`python scripts/train.py OVERRIDES` in `place`: one process, two, or two under torchrun."""

    def __init__(self, place, *overrides, ranks=1, torchrun=False, env=None):
        launcher = TORCHRUN if torchrun else ()
        several = TWO if ranks == 2 else ()
        self.torchrun, self.place = torchrun, Path(place)
        self.output = self.place / "output.txt"
        self.folder = self.place / "runs" / _named(overrides)
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, *launcher, str(ROOT / "scripts/train.py"), *several, *overrides],
                cwd=place,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **(env or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def rank(self, rank):
        """The process id of a rank; None before it is there."""
        if rank == 0 and not self.torchrun:
            return self.process.pid
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                command, env = child.cmdline(), child.environ()
            except (psutil.Error, OSError):
                continue
            if any(word.endswith("train.py") for word in command[:3]):
                if env.get("LOCAL_RANK") == str(rank):
                    return child.pid
        return None

    def steps(self):
        """How many steps have been logged."""
        path = self.folder / "metrics.jsonl"
        rows = path.read_text().splitlines() if path.is_file() else []
        return sum('"train/loss"' in row for row in rows)

    def wait_for_step(self, step, *, limit_s=120):
        until = time.monotonic() + limit_s
        while self.steps() < step:
            if self.process.poll() is not None:
                raise AssertionError(f"it ended before step {step}: {self.said()}")
            if time.monotonic() > until:
                self.kill()
                raise AssertionError(f"no step {step} in {limit_s} s: {self.said()}")
            time.sleep(0.01)

    def send(self, number, target):
        """To `launcher`, to a rank, or to `all`: every process of the job, as Slurm does."""
        if target == "all":
            os.killpg(self.process.pid, number)
        else:
            os.kill(self.process.pid if target == "launcher" else self.rank(target), number)

    def end(self, *, limit_s=60, until_all=False):
        """Exit code and seconds, `until_all` the ranks have gone; nothing is left of it afterwards.

        None is the code of a run that did not end in time.
        """
        began = time.monotonic()
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        while until_all and self.ranks_left() and time.monotonic() - began < limit_s:
            time.sleep(0.05)
        seconds = time.monotonic() - began
        self.kill()
        return code, seconds

    def ranks_left(self):
        """Processes of the session that run the script."""
        left = []
        for process in psutil.process_iter(["pid", "cmdline", "status"]):
            words = process.info["cmdline"] or []
            if any(word.endswith("train.py") for word in words[:3]):
                try:
                    zombie = process.info["status"] == psutil.STATUS_ZOMBIE
                    if not zombie and os.getsid(process.info["pid"]) == self.process.pid:
                        left.append(process.info["pid"])
                except ProcessLookupError:
                    continue
        return left

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def said(self):
        return self.output.read_text(errors="replace")


def _named(overrides):
    return next(word for word in overrides if word.startswith("name=")).removeprefix("name=")
