"""A signal to any rank ends all ranks at the same step, with a checkpoint."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
import torch.distributed as td

from cloc import dist
from cloc.errors import PREEMPTED, SIGNALS


class Preempted(SystemExit):
    """The run has left a checkpoint and ends with exit code 143."""

    def __init__(self) -> None:
        super().__init__(PREEMPTED)


class Preempt(L.Callback):
    """After SIGTERM or SIGUSR1 to any rank, all ranks `save` after the same step and end with 143.

    The handler only notes the signal. At the end of every step the ranks' notes are joined by an
    all-reduce on the side group, whose result is looked at one step later: nothing is waited for,
    and all ranks come to the same conclusion. With `requeue`, SIGUSR1 (what `sbatch
    --signal=USR1@90` sends before the time is up) also puts the Slurm job back into the queue;
    SIGTERM does not: Slurm sends it when somebody cancels the job. A run whose last step comes
    first ends as always.
    """

    def __init__(self, save: Callable[[L.Trainer], None], *, requeue: bool = False) -> None:
        self.save = save
        self.requeue = requeue
        self.noted = 0  # the number of the signal this rank got
        self.joined: tuple[Any, torch.Tensor] | None = None  # of the last step, on its way
        self.before: dict[int, Any] = {}  # the handlers there were

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """From here on all ranks are there, and a signal is dealt with at the end of a step."""
        dist.side_group()
        disable_lightnings(trainer)
        for number in SIGNALS:
            self.before[number] = signal.signal(number, self._note)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Looks at what had been noted one step before, and passes on what is noted now."""
        noted = self._of_all_ranks()
        if noted:
            self._end(trainer, noted)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Nothing stays on its way."""
        if self.joined is not None:
            dist.wait(self.joined[0])

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """After training a signal means again what it meant before."""
        self._hand_back()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Nothing more is saved: a further signal may end the process at once."""
        self._hand_back()

    def _hand_back(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def told(self) -> bool:
        """Whether this rank got a signal."""
        return self.noted > 0

    def _note(self, number: int, frame: Any) -> None:
        self.noted = max(self.noted, SIGNALS.index(signal.Signals(number)) + 1)

    def _of_all_ranks(self) -> int:
        group = dist.side_group()
        if group is None:
            return self.noted
        noted = 0
        if self.joined is not None:
            dist.wait(self.joined[0])
            noted = int(self.joined[1])
        mine = torch.tensor(self.noted)
        work = td.all_reduce(mine, td.ReduceOp.MAX, group=group, async_op=True)
        self.joined = work, mine
        return noted

    def _end(self, trainer: L.Trainer, noted: int) -> None:
        self.save(trainer)
        name = SIGNALS[noted - 1].name
        if trainer.is_global_zero:
            said = f"{name} after step {trainer.global_step}: saved; resume=auto goes on from here"
            print(said, file=sys.stderr, flush=True)
            if self.requeue and SIGNALS[noted - 1] == signal.SIGUSR1:
                requeue_slurm_job()
        group = dist.side_group()
        if group is not None:  # a launcher may end all as soon as it sees the first one gone
            dist.wait(td.barrier(group=group, async_op=True))
        raise Preempted


def requeue_slurm_job() -> None:
    """`scontrol requeue` of the job this process belongs to, an element of an array by itself.

    A failure is said and no more: the checkpoint is there.
    """
    array, task = (os.environ.get(f"SLURM_ARRAY_{part}") for part in ("JOB_ID", "TASK_ID"))
    job = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")
    if not re.fullmatch(r"\d+(_\d+)?", job):
        return
    try:
        done = subprocess.run(["scontrol", "requeue", job], check=False, capture_output=True)
        failed = done.stderr.decode(errors="replace").strip() if done.returncode else ""
    except OSError as error:
        failed = str(error)
    if failed:
        print(f"job {job} was not requeued: {failed}", file=sys.stderr, flush=True)


def disable_lightnings(trainer: L.Trainer) -> None:
    """Turns off Lightning's own handling of signals, which can only be done by overriding it.

    Its SIGTERM handler broadcasts, so it waits forever where only one rank got the signal; under
    Slurm another one saves in the middle of whatever runs; and it broadcasts in every step, with
    the host waiting for the device.
    """
    trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[method-assign]
    loop = trainer.fit_loop.epoch_loop
    loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]


def _nothing() -> None:
    pass
