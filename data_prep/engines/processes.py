"""A pool of processes on this machine; one that dies costs its unit a try, and nothing else."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait

from cloc.errors import UserError, one_line
from data_prep.engine_loop import Outcome, drive
from data_prep.engines.inline import attempt
from data_prep.work_unit import Unit, Work, make_stages


class Processes:
    """`workers` processes, each with stages of its own; null is one per core that may be used."""

    def __init__(self, *, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise UserError(
                f"engine.workers={workers}: at least 1 is needed, or null for all cores"
            )
        self.workers = workers or len(os.sched_getaffinity(0))

    def run(self, work: Work, units: Iterable[Unit]) -> Iterator[Outcome]:
        """One outcome per unit."""
        cores = len(os.sched_getaffinity(0))  # else every worker's torch would take all of them
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // self.workers)))
        pool = ProcessPool(work, self.workers)
        try:
            yield from drive(pool, units)
        finally:
            pool.close()


class ProcessPool:
    """Every worker has one unit at a time, so that the death of one is the failure of one unit."""

    def __init__(self, work: Work, workers: int) -> None:
        self.work, self.slots = work, workers
        self.idle: list[_Worker] = []
        self.busy: list[_Worker] = []

    def submit(self, unit: Unit) -> None:
        worker = self.idle.pop() if self.idle else _Worker(self.work)
        worker.begin(unit)
        self.busy.append(worker)

    def wait(self) -> Outcome:
        ready = wait([worker.pipe for worker in self.busy])
        worker = next(worker for worker in self.busy if worker.pipe in ready)
        self.busy.remove(worker)
        outcome = worker.end()
        if worker.process.is_alive():
            self.idle.append(worker)
        return outcome

    def close(self) -> None:
        for worker in [*self.idle, *self.busy]:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        self.idle, self.busy = [], []


class _Worker:
    """A process and the pipe to it."""

    def __init__(self, work: Work) -> None:
        # spawn: a fork of a process with threads (torch, fsspec) may stand still for ever
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(work, theirs), daemon=True)
        self.process.start()
        theirs.close()  # else its death would not close the pipe
        self.unit: Unit | None = None

    def begin(self, unit: Unit) -> None:
        self.unit = unit
        with contextlib.suppress(BrokenPipeError):  # it has just died: `end` finds out
            self.pipe.send(unit)

    def end(self) -> Outcome:
        assert self.unit is not None
        try:
            found: Outcome | UserError = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            self.pipe.close()
            return Outcome(self.unit, None, f"its worker {_death(self.process.exitcode)}")
        if isinstance(found, UserError):
            raise found
        return found


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name} (out of memory?)"
    return f"ended with exit code {code}"


def _serve(work: Work, pipe: Connection) -> None:
    """One unit after another, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started it
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: not without its parent
    try:
        stages = make_stages(work)
    except Exception as error:  # it would be the same for every unit
        told = f"a stage cannot be made ({type(error).__name__}: {one_line(error)})"
        pipe.send(error if isinstance(error, UserError) else UserError(told))
        return
    with contextlib.suppress(EOFError):
        while True:
            unit = pipe.recv()
            pipe.send(attempt(unit, work, stages))
