"""A moving average of the weights, which often is the better model than where training stands."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cloc import dist
from cloc.errors import UserError

FILE = "ema.safetensors"


class EMA(L.Callback):
    """average = d average + (1 - d) weights after every step, d = min(decay, (1 + t) / (warmup +
    t)) at the t-th step, from 0: the average follows fast while it knows little. `warmup=1` is
    `decay` from the start.

    Of the trainable parameters. The average is part of the trainer's state; whole weights go to
    `FOLDER/ema.safetensors` every `every_n_steps` and at the end. Stands before callbacks that save
    or measure.
    """

    def __init__(
        self, folder: str | Path, *, decay: float, warmup: float, every_n_steps: int
    ) -> None:
        if not 0 < decay < 1:
            raise UserError(f"ema.decay={decay}; choose above 0 and below 1, such as 0.9999")
        if warmup < 1:
            raise UserError(f"ema.warmup={warmup}; choose 1 (none) or more, such as 10")
        self.folder, self.decay, self.warmup = Path(folder), decay, warmup
        self.every_n_steps = every_n_steps
        self.updates = 0
        self.average: dict[str, Tensor] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts at the weights, or where a resumed run was, on the devices of the weights."""
        found = trainable(pl_module.model)  # type: ignore[arg-type]
        if not self.average:
            self.average = {name: p.detach().clone() for name, p in found.items()}
            return
        if self.average.keys() != found.keys():
            raise UserError(
                "the checkpoint's moving average is of other parameters than this run trains; "
                "continue with the same model"
            )
        self.average = {n: dist.spread(self.average[n], like=p) for n, p in found.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """No host sync: the decay is a number."""
        model: nn.Module = pl_module.model  # type: ignore[assignment]
        decay = min(self.decay, (1 + self.updates) / (self.warmup + self.updates))
        weights = [p.detach() for p in trainable(model).values()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - decay)
        self.updates += 1
        if trainer.global_step % self.every_n_steps == 0:
            self.write(model, trainer.global_step)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The final average."""
        self.write(pl_module.model, trainer.global_step)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        """Whole tensors on the CPU; every rank has to ask."""
        weights = {n: dist.whole(x).to("cpu", copy=True) for n, x in self.average.items()}
        return {"updates": self.updates, "average": weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Comes before the weights are on their devices."""
        self.updates, self.average = state_dict["updates"], dict(state_dict["average"])

    @contextmanager
    def averaged(self, model: nn.Module) -> Iterator[None]:
        """Inside, `model` has the averaged weights; afterwards its own again, bit for bit."""
        own = {name: p.detach().clone() for name, p in trainable(model).items()}
        _fill(model, self.average)
        try:
            yield
        finally:
            _fill(model, own)

    def write(self, model: nn.Module, step: int) -> None:
        """Staged, flushed and renamed; every rank takes part, the first one writes."""
        state = {name: self.average.get(name, x) for name, x in model.state_dict().items()}
        state = {name: dist.whole(x).detach().cpu().contiguous() for name, x in state.items()}
        if dist.rank():
            return
        staged = self.folder / f"{FILE}.partial"
        save_file(state, staged, metadata={"step": str(step)})
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(staged, self.folder / FILE)


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """By name, in the model's order."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def _fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, p in trainable(model).items():
        p.copy_(weights[name])
