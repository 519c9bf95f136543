"""An optimizer's step that may have to change nothing, decided without waiting for the device."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


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
    on the host has the host wait for the verdict, as its first step does; `cloc.training.optim.
    on_device` sees to it that none of ours does.
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


def step_unread(scaler: torch.amp.GradScaler) -> None:
    """From here on the scaler of float16 steps without reading whether a gradient overflowed: that
    has been judged by then, and `Skip` acts upon it."""

    def step(optimizer: torch.optim.Optimizer, state: Any, *args: Any, **kwargs: Any) -> Any:
        return optimizer.step(*args, **kwargs)

    scaler._maybe_opt_step = step  # type: ignore[method-assign,assignment]
