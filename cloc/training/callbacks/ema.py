"""A moving average of the weights, which often is the better model than where training stands."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from cloc import dist
from cloc.errors import UserError


class EMA(L.Callback):
    """average = d average + (1 - d) weights after every step, d = min(decay, (1 + t) / (warmup +
    t)) at the t-th step, from 0: the average follows fast while it knows little. `warmup=1` is
    `decay` from the start.

    Of the trainable parameters. A checkpoint holds the averaged model, whole, as a file beside the
    weights. Stands before callbacks that measure.
    """

    def __init__(self, *, decay: float, warmup: float) -> None:
        if not 0 < decay < 1:
            raise UserError(f"ema.decay={decay}; choose above 0 and below 1, such as 0.9999")
        if warmup < 1:
            raise UserError(f"ema.warmup={warmup}; choose 1 (none) or more, such as 10")
        self.decay, self.warmup = decay, warmup
        self.updates = 0
        self.average: dict[str, Tensor] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts at the weights, or where a resumed run was, on the devices of the weights."""
        found = trainable(pl_module.model)  # type: ignore[arg-type]
        if not self.average:
            self.average = {name: p.detach().clone() for name, p in found.items()}
            return
        if not found.keys() <= self.average.keys():
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

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """`average`: the model's whole state, averaged where it is trained; every rank asks."""
        state = pl_module.model.state_dict()  # type: ignore[union-attr]
        average = {name: self.average.get(name, x) for name, x in state.items()}
        checkpoint["average"] = {name: dist.whole(x).detach() for name, x in average.items()}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Comes before the weights are on their devices."""
        self.average = dict(checkpoint["average"])

    def state_dict(self) -> dict[str, Any]:
        """The average itself is apart: see `on_save_checkpoint`."""
        return {"updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Where the decay's warm-up goes on."""
        self.updates = state_dict["updates"]

    @contextmanager
    def averaged(self, model: nn.Module) -> Iterator[None]:
        """Inside, `model` has the averaged weights; afterwards its own again, bit for bit."""
        own = {name: p.detach().clone() for name, p in trainable(model).items()}
        _fill(model, self.average)
        try:
            yield
        finally:
            _fill(model, own)


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """By name, in the model's order."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def _fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, p in trainable(model).items():
        p.copy_(weights[name])
