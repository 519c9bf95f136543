"""The loader of one rank: worker processes, their batches in turn, what they had to leave out."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing import forkserver, get_context, parent_process
from multiprocessing.context import BaseContext

import torch
from torch.utils.data import DataLoader

from cloc.data.collate import ModelInput
from cloc.data.pipeline import Loaded, Plan, TrainStream
from cloc.data.stream.tally import BUDGET, Tally
from cloc.errors import SIGNALS, UserError
from cloc.interfaces import RegionBatch

TIMEOUT_S = 300.0  # a worker that hangs ends the run instead of stalling every rank
LOOK_S = 5.0  # between two looks whether a worker that is waited for is still there
KILLED = (
    "a worker of the loader was killed, most likely because memory or /dev/shm was full; lower "
    "data.num_workers or batch_size, or give the run more memory"
)
SLOW = (
    "the workers of the loader gave no batch for {:g} s (failures.loader_s); raise that, or look "
    "at the disk or store that the shards are on"
)


class TrainLoader:
    """The batches of one rank; one pass is the whole run, and every rank's pass is equally long.

    `tally` counts what the batches that were handed out are made of; above its budget the next one
    raises, and so does a worker that was killed or gives nothing for `timeout_s`. It wraps torch's
    loader instead of being one: Lightning distrusts the length of an iterable dataset, and an error
    of a worker shall arrive as the one line that was raised there.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        wants: ModelInput,
        num_workers: int,
        budget: float = BUDGET,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.steps, self.timeout_s = plan.steps, timeout_s
        self.waited_s = 0.0  # how long training has waited for batches so far
        planned = sum(shards.total for shards in plan.shards.values())
        self.tally = Tally(planned=planned, ranks=plan.ranks, budget=budget)
        self.stream = TrainStream(plan, wants=wants)
        self.batches: DataLoader[Loaded] = DataLoader(
            self.stream,
            batch_size=None,
            num_workers=num_workers,
            pin_memory=torch.cuda.is_available(),
            timeout=min(LOOK_S, timeout_s) if num_workers else 0,
            multiprocessing_context=_forkserver(wants) if num_workers else None,
            worker_init_fn=_begin,
        )

    def __len__(self) -> int:
        """Steps of the whole run, those a resumed run skips included: Lightning counts them."""
        return self.steps

    def __iter__(self) -> Iterator[RegionBatch]:
        try:
            batches = iter(self.batches)
            while True:
                asked = time.perf_counter()
                loaded = self._next(batches)
                self.waited_s += time.perf_counter() - asked
                if loaded is None:
                    return
                self.tally.add(loaded.seen)
                yield loaded.batch
        except UserError as error:  # torch puts the worker's whole traceback into the message
            last_line = str(error).strip().splitlines()[-1]
            raise UserError(last_line.removeprefix(f"{UserError.__module__}.UserError: ")) from None

    def _next(self, batches: Iterator[Loaded]) -> Loaded | None:
        """torch looks after its workers only where its own time limit ends, so that is short."""
        asked = time.monotonic()
        while True:
            try:
                return next(batches, None)
            except RuntimeError as error:
                said = str(error)
                if said.startswith("DataLoader worker (pid"):
                    raise UserError(KILLED) from None
                if not said.startswith("DataLoader timed out"):
                    raise
            if time.monotonic() - asked >= self.timeout_s:
                raise UserError(SLOW.format(self.timeout_s))


def _begin(worker: int) -> None:
    """Slurm signals every process of a job, and a checkpoint needs one more step of the workers: a
    worker heeds SIGTERM of its own run alone, and ends when that is gone.

    torch's own workers look whether their parent is gone, but that is the fork server, which lives
    as long as they do: a run that was killed would leave both behind for ever.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # of this thread and all it starts
    threading.Thread(target=_end_with_the_run, daemon=True, name="end with the run").start()


def _end_with_the_run() -> None:
    run = parent_process()
    assert run is not None
    while run.is_alive():
        told = signal.sigtimedwait(SIGNALS, 1.0)
        if told is not None and told.si_pid == run.pid:  # it is at its end, and waits for this one
            break
    os._exit(1)


def _forkserver(wants: ModelInput) -> BaseContext:
    """A fork after the process group has started can hang (measured: 3 of 12 runs).

    torch, and what a tokenizer is made of, are imported once there and not by every worker.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__, type(wants.tokenize).__module__])
    if threading.current_thread() is threading.main_thread():
        before = [signal.signal(number, signal.SIG_IGN) for number in SIGNALS]
        forkserver.ensure_running()  # it and its helper keep ignoring what is ignored now
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
    return context
