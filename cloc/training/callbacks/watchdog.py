"""Ranks that have drifted apart, and ranks that no longer come, end the run and are named."""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
import torch.distributed as td
from torch import nn
from torch.distributed.tensor import DTensor

from cloc import dist
from cloc.errors import UserError
from cloc.training.heartbeat import Heartbeat


class Watchdog(L.Callback):
    """Compares a fingerprint of all ranks every `compare_every` steps and looks for hangs.

    The fingerprint is the step and the sum of the bits of all weights that ranks hold copies of.
    Where it differs, every rank raises a `UserError` that names ranks and step. From the second
    step on, a rank that the others wait for and that has not moved for `hang_s` seconds, or for
    `loader_s` seconds while it waits for its data, ends the run with exit code 1 and one line that
    names rank, step and place (`cloc.training.heartbeat`).
    In a single process nothing is done. `told` says whether this process has been told to end.
    """

    def __init__(
        self,
        *,
        compare_every: int = 100,
        hang_s: float = 45.0,
        loader_s: float = 300.0,
        told: Callable[[], bool] = bool,
    ) -> None:
        if compare_every < 1 or hang_s <= 0:
            raise UserError(
                f"failures.compare_every is {compare_every} and failures.hang_s is {hang_s}, "
                "expected 1 or more and a time above 0"
            )
        if loader_s < hang_s:
            raise UserError(
                f"failures.loader_s is {loader_s}, expected failures.hang_s, {hang_s}, or more"
            )
        self.compare_every, self.hang_s, self.told = compare_every, hang_s, told
        self.loader_s = loader_s
        self.heartbeat: Heartbeat | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """All ranks are there, and a resumed run knows its step."""
        if dist.side_group() is None:
            return
        self.heartbeat = Heartbeat(
            dist.store(),
            rank=dist.rank(),
            ranks=dist.world_size(),
            hang_s=self.hang_s,
            loader_s=self.loader_s,
            told=self.told,
        )
        self.heartbeat.step = trainer.global_step
        self.heartbeat.start()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Says that the step is done."""
        if self.heartbeat is None:
            return
        self.heartbeat.step, self.heartbeat.armed = trainer.global_step, True
        if trainer.global_step % self.compare_every == 0:
            compare(trainer.global_step, fingerprint(pl_module))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """What follows (the last checkpoint) may take its time."""
        self._stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """The process ends by itself; who waits for it is told by `cloc/cli/launch/failures.py`."""
        self._stop()

    def _stop(self) -> None:
        if self.heartbeat is not None:
            self.heartbeat.stop()
            self.heartbeat = None


def fingerprint(module: nn.Module) -> int:
    """The sum of the bits of all parameters as integers; shards of FSDP differ and are left out.

    Exact: the order of summation does not matter, and any changed bit shows.
    """
    words = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    sums = [
        p.detach().view(words[p.element_size()]).sum(dtype=torch.long)
        for p in module.parameters()
        if not isinstance(p, DTensor)
    ]
    if not sums:
        return 0
    total = torch.stack(sums).sum()
    if total.is_cuda:
        torch.cuda.synchronize()  # where a process hangs, this name is looked for
    return int(total)


def compare(step: int, print_of_weights: int) -> None:
    """Raises on every rank alike where ranks differ."""
    group = dist.side_group()
    low, high = torch.tensor([step, print_of_weights]), torch.tensor([step, print_of_weights])
    dist.wait(td.all_reduce(low, td.ReduceOp.MIN, group=group, async_op=True))
    dist.wait(td.all_reduce(high, td.ReduceOp.MAX, group=group, async_op=True))
    if torch.equal(low, high):
        return
    raise UserError(told_apart(dist.gather_objects((step, print_of_weights))))


def told_apart(found: list[tuple[int, int]]) -> str:
    """The ranks that are not as most are; of two halves, those not as rank 0 is."""
    most = max(found, key=lambda one: (found.count(one), one == found[0]))
    apart = [rank for rank, one in enumerate(found) if one != most]
    which = ", ".join(map(str, apart[:8])) + (" and more" if len(apart) > 8 else "")
    steps = sorted({found[rank][0] for rank in apart})
    if steps == [most[0]]:
        return (
            f"rank {which} has other weights than the other ranks at step {most[0]}; go on from "
            "the last checkpoint with resume=auto, on another machine if it happens again"
        )
    return f"rank {which} is at step {', '.join(map(str, steps))}, the other ranks at {most[0]}"
