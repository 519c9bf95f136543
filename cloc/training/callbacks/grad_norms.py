"""The gradient norm of each part of the model: the first thing to look at when a run goes wrong."""

import lightning as L
import torch
from torch import nn

from cloc import dist
from cloc.models.parameter_names import part_of


class GradNorms(L.Callback):
    """Logs `grad/image_tower`, `grad/text_tower`, `grad/region_head` and `grad/box_head`, L2 norms
    before clipping, and `optim/lr`, the highest rate of the groups."""

    def __init__(self, *, every_n_steps: int = 20) -> None:
        self.every_n_steps = every_n_steps

    def on_before_optimizer_step(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Lightning clips after this hook."""
        if (trainer.global_step + 1) % self.every_n_steps == 0:
            values = {f"grad/{part}": norm for part, norm in gradient_norms(pl_module).items()}
            pl_module.log_dict({**values, "optim/lr": optimizer.param_groups[0]["lr"]})


def gradient_norms(module: nn.Module) -> dict[str, torch.Tensor]:
    """L2 norm over the gradients of each part of `models.parameter_names`, the scales left out."""
    grads: dict[str, list[torch.Tensor]] = {}
    for name, parameter in module.named_parameters():
        part = part_of(name.removeprefix("model."))
        if parameter.grad is not None and part != "scales":
            grads.setdefault(part, []).append(parameter.grad.norm())
    return {part: dist.whole(torch.stack(values).norm()) for part, values in grads.items()}
