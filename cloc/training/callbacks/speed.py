"""Images per second, the share of time spent waiting for data, MFU and memory."""

import resource
import sys
import time
from typing import Any

import lightning as L
import torch

from cloc import dist
from cloc.interfaces import RegionBatch
from cloc.training.flops import StepCost

GIB = 2**30


class Speed(L.Callback):
    """Logs `speed/images_per_s` (all ranks), `speed/data_wait_frac` and `memory/peak_gib` (of this
    rank so far) every `every_n_steps`, and `speed/mfu` where `cost` and `peak_flops` are given.

    Waiting is what the loader's `waited_s` counts; time in other callbacks, benchmarks above all,
    is neither work nor waiting. Stands first in the list of callbacks for that reason. MFU is the
    share, in [0, 1], of this rank's `peak_flops` (FLOP/s) that the model's own FLOPs take.
    """

    def __init__(
        self,
        *,
        every_n_steps: int = 20,
        cost: StepCost | None = None,
        peak_flops: float | None = None,
    ) -> None:
        self.every_n_steps = every_n_steps
        self.cost, self.peak_flops = cost, peak_flops
        self.images, self.flops = 0, 0
        self.worked, self.started, self.waited_before = 0.0, 0.0, 0.0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: RegionBatch, batch_idx: int
    ) -> None:
        """The clock of this step's work starts."""
        self.started = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: RegionBatch,
        batch_idx: int,
    ) -> None:
        """The device is waited for only on the steps that log."""
        logs = trainer.global_step % self.every_n_steps == 0
        if logs and pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self.worked += time.perf_counter() - self.started
        self.images += len(batch.images) * dist.world_size()
        self.flops += self.cost.of(batch) if self.cost else 0  # of shapes: the host knows them
        if not logs:
            return
        waited = trainer.train_dataloader.waited_s  # type: ignore[union-attr]
        spent = self.worked + waited - self.waited_before
        values = {
            "speed/images_per_s": self.images / spent,
            "speed/data_wait_frac": (waited - self.waited_before) / spent,
            "memory/peak_gib": peak_memory(pl_module.device) / GIB,
        }
        if self.cost and self.peak_flops:
            values["speed/mfu"] = self.flops / spent / self.peak_flops
        pl_module.log_dict(values, batch_size=len(batch.images))
        self.images, self.flops, self.worked, self.waited_before = 0, 0, 0.0, waited


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that tensors took on a GPU so far; elsewhere the most this process took."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)  # the allocator's count: no wait
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
