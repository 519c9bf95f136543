"""Images per second and the share of time spent waiting for data."""

import time
from typing import Any

import lightning as L
import torch

from cloc import dist
from cloc.interfaces import RegionBatch


class Speed(L.Callback):
    """Logs `speed/images_per_s` (all ranks) and `speed/data_wait_frac` every `every_n_steps`.

    Waiting is what the loader's `waited_s` counts; time in other callbacks, benchmarks above all,
    is neither work nor waiting. Stands first in the list of callbacks for that reason.
    """

    def __init__(self, *, every_n_steps: int = 20) -> None:
        self.every_n_steps = every_n_steps
        self.images, self.worked, self.started, self.waited_before = 0, 0.0, 0.0, 0.0

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
        if not logs:
            return
        waited = trainer.train_dataloader.waited_s  # type: ignore[union-attr]
        spent = self.worked + waited - self.waited_before
        values = {
            "speed/images_per_s": self.images / spent,
            "speed/data_wait_frac": (waited - self.waited_before) / spent,
        }
        pl_module.log_dict(values, batch_size=len(batch.images))
        self.images, self.worked, self.waited_before = 0, 0.0, waited
