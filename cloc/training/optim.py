"""Parameter groups with their learning rates, what clipping needs, and the schedule."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from cloc.errors import UserError, one_line
from cloc.models.parameter_names import block_of, depth_of, is_staged, part_of
from cloc.training.roles import FILTER, INPUT, MATRIX, OUTPUT, SCALE, TABLE, roles

# the step of a group of parameters, by the roles of which it is made
KINDS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    ((MATRIX,), {"use_muon": True}),
    ((INPUT, OUTPUT, FILTER), {"use_muon": False}),
    ((TABLE, SCALE), {"use_muon": False, "weight_decay": 0.0}),
)
HIGHEST_RATE = 1e6  # far above it a step is no number that a kernel takes
UNFIT = {
    "LBFGS": "asks for the loss several times in a step",
    "SparseAdam": "wants sparse gradients",
    "Adahessian": "wants second derivatives",
}
WAYS = ("fused", "foreach", "capturable")  # to take the same step


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Groups that partition the trainable parameters by their roles: matrices between layers; the
    first and last layers and filters; and what gets no weight decay: tables of positions and
    classes, biases, norms and temperatures (decaying one pulls it up all through training).

    `use_muon` is for an optimizer that orthogonalizes matrices (timm's Muon); others pass it over.
    """
    parameters = dict(model.named_parameters())
    of = roles(model)
    groups: list[dict[str, Any]] = []
    for kinds, options in KINDS:
        chosen = [p for name, p in parameters.items() if p.requires_grad and of[name] in kinds]
        if chosen:
            groups.append({"params": chosen, **options})
    return groups


def rated_groups(
    model: nn.Module,
    *,
    lr: float,
    factors: Mapping[str, float],
    layer_decay: Mapping[str, float],
    wait: Mapping[str, int] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """`parameter_groups`, each split by learning rate, the highest first, and by waiting time.

    A parameter's rate is `lr` times the factor of its part, times the layer decay of its tower to
    the power of the number of layers above it: 1 in the last block, 0 behind it. A part that waits
    does not move before that step (`warmup_cosine`).
    """
    if not 0 <= lr <= HIGHEST_RATE:
        raise UserError(f"optimizer.lr={lr}; choose from 0 to {HIGHEST_RATE:g}, such as 0.0005")
    rates = relative_rates(model, factors=factors, layer_decay=layer_decay)
    _check_wait(wait, parts={part_of(name) for name in rates})
    of = {
        id(parameter): (rates[name], wait.get(part_of(name), 0))
        for name, parameter in model.named_parameters()
    }
    groups = []
    for group in parameter_groups(model):
        kinds = {of[id(p)] for p in group["params"]}
        for rate, steps in sorted(kinds, key=lambda kind: (-kind[0], kind[1])):
            chosen = [p for p in group["params"] if of[id(p)] == (rate, steps)]
            waits = {"wait": steps} if steps else {}
            groups.append({**group, "params": chosen, "lr": lr * rate, **waits})
    return groups


def _check_wait(wait: Mapping[str, int], *, parts: set[str]) -> None:
    for part, steps in wait.items():
        if part not in parts or type(steps) is not int or steps < 0:
            raise UserError(
                f"rates.wait.{part}={steps}: give a number of steps for one of the parts "
                f"{', '.join(sorted(parts))}"
            )


def relative_rates(
    model: nn.Module, *, factors: Mapping[str, float], layer_decay: Mapping[str, float]
) -> dict[str, float]:
    """The rate of every parameter as a factor of the common one; see `rated_groups`."""
    names = [name for name, _ in model.named_parameters()]
    counts = dict.fromkeys(map(part_of, names), 0)  # of blocks
    for name in names:
        block = block_of(name)
        if block is not None:
            counts[part_of(name)] = max(counts[part_of(name)], block + 1)
    towers = {part for part in counts if part.endswith("_tower")}
    _check("factors", factors, parts=set(counts), at_most=math.inf)
    _check("layer_decay", layer_decay, parts=towers, at_most=1.0)
    for part in sorted({part_of(name) for name in names if is_staged(name)}):
        if layer_decay.get(part, 1.0) != 1:
            raise UserError(
                f"rates.layer_decay.{part}={layer_decay[part]}: this tower has stages, whose "
                "blocks are counted anew in each, so their depth is not known; set it to 1"
            )
    rates = {}
    for name in names:
        part = part_of(name)
        above, decay = 0, layer_decay.get(part, 1.0)
        if decay != 1:
            above = counts[part] + 1 - _depth(name, num_blocks=counts[part])
        rates[name] = factors.get(part, 1.0) * decay**above
    return rates


def _check(key: str, given: Mapping[str, float], *, parts: set[str], at_most: float) -> None:
    """1 changes nothing, so it may stand at a part that this model has not."""
    for part, value in given.items():
        if value != 1 and part not in parts:
            raise UserError(
                f"rates.{key}.{part}={value}: this model has no such part; choose from "
                f"{', '.join(sorted(parts))}"
            )
        if not 0 < value <= at_most:
            limit = "" if at_most == math.inf else f" and at most {at_most:g}"
            raise UserError(f"rates.{key}.{part}={value}; choose above 0{limit}")


def _depth(name: str, *, num_blocks: int) -> int:
    try:
        return depth_of(name, num_blocks=num_blocks)
    except KeyError:
        raise UserError(
            f"rates.layer_decay.{part_of(name)}: it is not known how deep {name} stands in this "
            f"tower; set rates.layer_decay.{part_of(name)}=1"
        ) from None


def made(make: Callable[[Any], torch.optim.Optimizer], groups: Any) -> torch.optim.Optimizer:
    """`make(groups)`; each optimizer has its own words for what it does not take, and some want
    what no step here gives: `UserError` with the cure."""
    name = getattr(make, "func", make).__name__
    why, cause = UNFIT.get(name), None
    if why is None:
        try:
            return make(groups)
        except (ValueError, TypeError, RuntimeError) as error:
            why, cause = f"cannot be made ({one_line(error)})", error
    raise UserError(
        f"optimizer._target_: {name} {why}; choose optimizer=adamw, muon or stable_adamw"
    ) from cause


def clippable(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The same optimizer, whose gradients Lightning clips although the step may be fused.

    A fused optimizer offers to undo the scaling of float16 gradients itself, and Lightning refuses
    to clip before that. Without the offer torch's scaler undoes it before clipping; in bfloat16
    nothing is scaled.
    """
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer


def cap_scales(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """After each of its steps, every temperature of `model` that is trained goes back to its cap
    (`cap_scale` of the tower and of the region scale). Never elsewhere: a model that is looked at
    stays as it is, to the bit."""
    caps: list[Any] = [m.cap_scale for m in model.modules() if hasattr(m, "cap_scale")]

    def cap(*_: Any) -> None:
        for each in caps:
            each()

    optimizer.register_step_post_hook(cap)


def on_device(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The same optimizer, no step of which has the host wait for a GPU.

    On GPUs Adam is fused unless `fused` says otherwise. Any other that would count its steps on the
    host, to correct its moments by, counts them on the GPU (`capturable`). It keeps its own way
    where it goes on from a checkpoint of another device.
    """
    for group in optimizer.param_groups:
        if not all(p.device.type == "cuda" for p in group["params"]):
            continue
        adam = isinstance(optimizer, torch.optim.Adam)
        if adam and (group["fused"], group["foreach"]) == (None, None):
            group["fused"] = True
        elif group.get("capturable") is False and not group.get("fused"):
            group["capturable"] = True
    optimizer.register_load_state_dict_pre_hook(_keep_way)
    return optimizer


def _keep_way(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    groups = [
        {**saved, **{way: own[way] for way in WAYS if way in own}}
        for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=False)
    ]
    left = state["param_groups"][len(groups) :]  # torch says that there are too many
    return {**state, "param_groups": [*groups, *left]}


def warmup_cosine(optimizer: torch.optim.Optimizer, *, warmup: int, steps: int) -> LambdaLR:
    """Linear over `warmup` steps, then half a cosine down to 0 at `steps` (CLOC, table A).

    A group with `wait` is at 0 for so many steps, then takes `warmup` more to reach that curve.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(steps - warmup, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def waiting(step: int, *, wait: int) -> float:
        begun = min((step - wait + 1) / max(warmup, 1), 1.0)
        return factor(step) * begun if step >= wait else 0.0

    waits = [group.get("wait", 0) for group in optimizer.param_groups]
    return LambdaLR(optimizer, [partial(waiting, wait=w) if w else factor for w in waits])
