"""A step whose loss or gradient is not finite changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _BatchNorm

from cloc import dist
from cloc.errors import UserError
from cloc.interfaces import Embeddings, RegionBatch


class Seen(NamedTuple):
    """What is known of one step; tensors are read one step later."""

    step: int
    keys: tuple[str, ...]
    rows: Tensor | None  # bool [b]: samples whose embeddings are not finite
    counts: Tensor  # on the host: skipped steps so far, and how many of them end in this one
    copied: Callable[[], None]  # waits until `counts` is there


class Finite(L.Callback):
    """Skips the update of such a step on every rank: weights and optimizer state stay as they were.

    The verdict travels with the gradients, which DDP makes equal on all ranks, and is acted upon on
    the device; the host reads it one step later, so no step waits for it. The step counts as a step
    (its batch is consumed and the schedule, a function of the step, goes on). Logs
    `train/skipped_steps`, writes the samples' keys to `FOLDER/nonfinite/step-N.json`, and ends the
    run with a `UserError` after `give_up_after` such steps in a row.
    """

    def __init__(self, folder: str | Path, *, give_up_after: int = 10) -> None:
        if give_up_after < 1:
            raise UserError(f"failures.give_up_after is {give_up_after}, expected 1 or more")
        self.folder = Path(folder) / "nonfinite"
        self.give_up_after = give_up_after
        self.counts = torch.zeros(2, dtype=torch.long)
        self.before: Seen | None = None
        self.rows: Tensor | None = None
        self.skip: Skip | None = None
        self.running: list[tuple[Tensor, Tensor]] = []  # statistics of batch norms, and a copy

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks at what the model gives: only there can one sample be told from the others."""
        self.counts = self.counts.to(pl_module.device)
        model: nn.Module = pl_module.model  # type: ignore[assignment]
        self.hook = model.register_forward_hook(self._look)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """A forward pass changes the running statistics of batch norms before anyone can judge."""
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
        self.before = Seen(trainer.global_step, batch.keys, self.rows, counts, copied)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The verdict on the last step."""
        self._read(self.before)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leaves the model as it was found."""
        if hasattr(self, "hook"):
            self.hook.remove()

    def state_dict(self) -> dict[str, Any]:
        """The counts go on where a run is resumed."""
        return {"counts": self.counts.tolist()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The counts of the run so far."""
        self.counts = torch.tensor(state_dict["counts"])

    def _look(self, model: nn.Module, args: Any, out: Embeddings) -> None:
        found = [out.image, out.caption, out.region, out.predicted_boxes]
        self.rows = torch.stack(
            [~x.detach().isfinite().flatten(1).all(1) for x in found if x is not None]
        ).any(0)

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
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise UserError(
                f"no finite loss and gradient in {row} steps in a row, the last one step "
                f"{seen.step} with {', '.join(keys[:3])}{more} (see {path}); lower optimizer.lr, "
                "take these samples out, or set failures.give_up_after"
            )


def not_finite(optimizer: torch.optim.Optimizer) -> Tensor:
    """Bool scalar on the device: whether any gradient is NaN or infinite, or too large to square.

    Sharded gradients are summed over ranks.
    """
    grads = [p.grad for group in optimizer.param_groups for p in group["params"]]
    norm = torch.nn.utils.get_total_norm([grad for grad in grads if grad is not None])
    return ~(norm.full_tensor() if isinstance(norm, DTensor) else norm).isfinite()


class Skip:
    """Where `bad` is true, the next step of `optimizer` leaves weights and state as they are.

    Where the host knows the verdict anyway (the CPU), the gradients are dropped. On other devices a
    fused Adam is told by `found_inf`, torch's own way, and for any other optimizer the old values
    are kept beside the new ones until the step is done. That takes memory for a second copy of
    weights and state at a moment when no activations are held. An optimizer that counts its steps
    on the host (`capturable` off) has the host wait for the verdict, as its first step does.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.kept: tuple[Tensor, list[Tensor], list[Tensor]] | None = None
        optimizer.register_step_post_hook(self._choose)

    def next_if(self, bad: Tensor) -> None:
        """Called when gradients are there, before the step."""
        groups = self.optimizer.param_groups
        weights: list[nn.Parameter] = [
            p for group in groups for p in group["params"] if p.grad is not None
        ]
        if isinstance(self.optimizer, torch.optim.Adam) and all(group["fused"] for group in groups):
            self.optimizer.found_inf = bad.float()  # type: ignore[attr-defined]
        elif bad.device.type == "cpu" or not kept_on_device(self.optimizer, weights):
            if bad:
                for weight in weights:
                    weight.grad = None
        else:
            self.keep(bad, weights)

    def keep(self, bad: Tensor, weights: list[nn.Parameter]) -> None:
        """Copies what the step may change; after it, `bad` chooses between the two."""
        states = [v for weight in weights for v in self.optimizer.state[weight].values()]
        found = [x.detach() for x in (*weights, *states) if isinstance(x, Tensor)]
        now = [x.to_local() if isinstance(x, DTensor) else x for x in found]
        before = [torch.empty_like(x) for x in now]
        torch._foreach_copy_(before, now)
        self.kept = bad, before, now

    def _choose(self, *_: Any) -> None:
        if self.kept is not None:
            bad, before, now = self.kept
            for old, new in zip(before, now, strict=True):
                new.copy_(torch.where(bad, old, new))
            self.kept = None


def kept_on_device(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter]) -> bool:
    """Whether all that a step changes is there already, and is where the weights are."""
    states = [optimizer.state.get(weight) for weight in weights]
    return all(
        bool(state)
        and all(
            isinstance(x, bool) or (isinstance(x, Tensor) and x.device == weight.device)
            for x in (state or {}).values()
        )
        for weight, state in zip(weights, states, strict=True)
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
