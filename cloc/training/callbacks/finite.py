"""A step whose loss or gradient is not finite changes nothing."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cloc import dist
from cloc.errors import UserError
from cloc.interfaces import Embeddings, RegionBatch
from cloc.training.finite_answers import fault, rows_not_finite
from cloc.training.skipped_step import Skip, not_finite, step_unread


class Seen(NamedTuple):
    """What is known of one step; tensors are read one step later."""

    step: int
    keys: tuple[str, ...]  # SHARD::KEY where that is known
    rows: Tensor | None  # bool [b]: samples whose embeddings are not finite
    counts: Tensor  # on the host: skipped steps so far, and how many of them end in this one
    copied: Callable[[], None]  # waits until `counts` is there


class Finite(L.Callback):
    """Skips the update of such a step on every rank: weights and optimizer state stay as they were.

    The verdict travels with the gradients, which DDP makes equal on all ranks, and is acted upon on
    the device; the host reads it one step later, so no step waits for it. The step counts as a step
    (its batch is consumed and the schedule, a function of the step, goes on). Logs
    `train/skipped_steps`, writes the samples to `FOLDER/nonfinite/step-N.json`, each as SHARD::KEY
    where that is known, and ends the run with a `UserError` after `give_up_after` such steps in a
    row.

    A model whose weights or answers are not finite is never saved: the run ends with a `UserError`
    instead, and so does one that skipped every step. So does, once it is saved, one that skipped
    more than one step in a row up to its end. Any other says on stderr how many it skipped.
    """

    def __init__(self, folder: str | Path, *, give_up_after: int = 10) -> None:
        if give_up_after < 1:
            raise UserError(f"failures.give_up_after is {give_up_after}, expected 1 or more")
        self.folder = Path(folder) / "nonfinite"
        self.give_up_after = give_up_after
        self.counts = torch.zeros(2, dtype=torch.long)
        self.before: Seen | None = None
        self.rows: Tensor | None = None
        self.batch: RegionBatch | None = None
        self.skip: Skip | None = None
        self.running: list[tuple[Tensor, Tensor]] = []  # statistics of batch norms, and a copy

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks at what the model gives: only there can one sample be told from the others."""
        self.counts = self.counts.to(pl_module.device)
        model: nn.Module = pl_module.model  # type: ignore[assignment]
        self.hook = model.register_forward_hook(self._look)
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            step_unread(scaler)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """A forward pass changes the running statistics of batch norms before anyone can judge."""
        self.batch = batch
        norms = [m for m in pl_module.modules() if isinstance(m, _BatchNorm)]
        self.running = [(b, b.clone()) for norm in norms for b in norm.buffers()]

    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        """The gradients of a loss that is not finite become NaN, on this rank and so on all."""
        value = loss.detach()
        loss.register_hook(lambda grad: torch.where(value.isfinite(), grad, torch.nan))

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """The gradients are those of all ranks here, and not yet clipped."""
        bad = not_finite(optimizer)
        if self.skip is None or self.skip.optimizer is not optimizer:
            self.skip = Skip(optimizer)
        self.skip.next_if(bad)
        for buffer, copy in self.running:
            buffer.copy_(torch.where(bad, copy, buffer))
        total, row = self.counts
        self.counts = torch.stack((total + bad, (row + 1) * bad))

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: RegionBatch,
        batch_idx: int,
    ) -> None:
        """Reads the verdict on the step before, while the device works on this one."""
        pl_module.log("train/skipped_steps", self.counts[0].float(), batch_size=len(batch.keys))
        counts, copied = to_host(self.counts)
        before, self.before = self.before, None
        self._read(before)
        names = batch.origins or batch.keys
        self.before = Seen(trainer.global_step, names, self.rows, counts, copied)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The verdict on the last step, and how many were skipped."""
        self._read(self.before)
        skipped, row = map(int, self.counts)
        why = f"no finite loss and gradient (see {self.folder}); a lower optimizer.lr may help"
        if row > 1:
            raise UserError(
                f"the last {row} of {trainer.global_step} steps were skipped in a row: {why}. "
                f"Nothing was learnt after step {trainer.global_step - row}; its weights are saved"
            )
        if skipped and dist.rank() == 0:
            print(f"{skipped} of {trainer.global_step} steps were skipped: {why}", file=sys.stderr)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Raises before anything is written; the host waits for the device here anyway."""
        if self.batch is None:  # not from within a step
            return
        step = trainer.global_step
        found = fault(pl_module, self.batch)
        if found is None and step == trainer.max_steps == int(self.counts[0]):
            found = "every step was skipped, for none had a finite loss and gradient"
        if found is not None:
            raise UserError(
                f"after step {step} {found}; this step is not saved, checkpoints before it stay. "
                "Begin again with a lower optimizer.lr or a longer schedule.warmup, or go on from "
                "the newest checkpoint with resume=auto and resume_changes=[optimizer.lr]"
            )

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leaves the model as it was found."""
        self.batch = None
        if hasattr(self, "hook"):
            self.hook.remove()

    def state_dict(self) -> dict[str, Any]:
        """The counts go on where a run is resumed."""
        return {"counts": self.counts.tolist()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The counts of the run so far."""
        self.counts = torch.tensor(state_dict["counts"])

    def _look(self, model: nn.Module, args: Any, out: Embeddings) -> None:
        self.rows = rows_not_finite(out)

    def _read(self, seen: Seen | None) -> None:
        """All ranks come to the same conclusion here, so all of them gather, or none does."""
        if seen is None:
            return
        seen.copied()
        row = int(seen.counts[1])
        if not row:
            return
        bad = [] if seen.rows is None else seen.rows.nonzero().flatten().tolist()
        mine = {"keys": list(seen.keys), "not_finite": [seen.keys[i] for i in bad]}
        ranks = dist.gather_objects(mine)
        path = self.folder / f"step-{seen.step}.json"
        if dist.rank() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            rows = [{"rank": rank, **facts} for rank, facts in enumerate(ranks)]
            path.write_text(json.dumps({"step": seen.step, "ranks": rows}, indent=1) + "\n")
        if row >= self.give_up_after:
            keys = [key for facts in ranks for key in facts["not_finite"]]
            keys = keys or [key for facts in ranks for key in facts["keys"]]
            keys = [key for key in keys if key]  # not of blank rows
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise UserError(
                f"no finite loss and gradient in {row} steps in a row, the last one step "
                f"{seen.step} with {', '.join(keys[:3])}{more} (see {path}); lower optimizer.lr, "
                "list such samples in data.skip_keys=FILE, or set failures.give_up_after"
            )


def to_host(values: Tensor) -> tuple[Tensor, Callable[[], None]]:
    """A copy on the host and what waits for it; the copy itself waits for nothing."""
    if values.device.type != "cuda":
        return values.to("cpu", copy=True), lambda: None
    copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    copy.copy_(values, non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    return copy, event.synchronize
