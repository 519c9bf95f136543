"""Which weights a run trains: parts that are kept, and scales that no loss reads."""

from collections.abc import Iterable, Sequence

from torch import nn

from cloc.errors import UserError
from cloc.interfaces import Loss
from cloc.parts import SCALES, part_of

PARTS = ("image_tower", "text_tower", "region_head", "box_head")


def freeze(model: nn.Module, parts: Sequence[str]) -> None:
    """Stops the gradients into every weight of `parts`; raises `UserError` for one the model has
    not."""
    names = {name: part_of(name) for name, _ in model.named_parameters()}
    unknown = [part for part in parts if part not in PARTS or part not in names.values()]
    if unknown:
        there = [part for part in PARTS if part in names.values()]
        raise UserError(f"freeze={list(parts)}: {unknown[0]} is none of {', '.join(there)}")
    for name, parameter in model.named_parameters():
        if names[name] in parts:
            parameter.requires_grad_(False)
    model.train(model.training)  # what is frozen whole goes into evaluation


def freeze_unread_scales(model: nn.Module, losses: Iterable[Loss]) -> None:
    """The image-text temperature and bias where no loss needs them: a weight that never gets a
    gradient stops DDP."""
    needed = {field for loss in losses for field in loss.needs}
    for name, parameter in model.named_parameters():
        if name.startswith(SCALES) and "scale" not in needed:
            parameter.requires_grad_(False)
