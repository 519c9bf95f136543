"""Which weights a run trains: not the parts that are kept, and not what no loss reads."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from cloc.errors import UserError
from cloc.interfaces import Embeddings, Loss, RegionBatch
from cloc.models.parameter_names import part_of
from cloc.training.module import check_needs

PARTS = ("image_tower", "text_tower", "region_head", "box_head", "decoder")


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


def freeze_unread(
    model: nn.Module, losses: Mapping[str, Loss], *, double: nn.Module, batch: RegionBatch
) -> None:
    """Stops the gradients into every weight of `model` that none of the fields in the losses'
    `needs` depends on, such as the projection of whole images where only regions are learned: a
    weight that never gets a gradient stops DDP.

    It is read off one pass of `double`, which has the same parameters, over `batch`, so both may be
    on the meta device. A head that would not be trained at all raises `UserError`, and so does a
    loss that does not fit the model (`check_needs`).
    """
    needed = {field for loss in losses.values() for field in loss.needs}
    out: Embeddings = double(batch)
    for name, loss in losses.items():
        check_needs(name, loss, out)
    fields = {**out._asdict(), **{f"extra.{key}": value for key, value in out.extra.items()}}
    read = [x for name, x in fields.items() if name in needed and isinstance(x, Tensor)]
    read = [x for x in read if x.requires_grad]
    if read:
        torch.stack([x.sum() for x in read]).sum().backward()
    twins = dict(double.named_parameters())
    unread = {n for n, p in model.named_parameters() if p.requires_grad and twins[n].grad is None}
    trained = {
        part_of(n) for n, p in model.named_parameters() if p.requires_grad and n not in unread
    }
    for name in ("region_head", "box_head", "decoder"):
        if name not in trained and any(part_of(n) == name for n in unread):
            key = name if name == "decoder" else f"model.{name}"
            raise UserError(
                f"no loss reads {key}, so it would stay as it begins; add a loss that does, leave "
                f"it out with {key}=null, or keep it with freeze=[{name}]"
            )
    for name, parameter in model.named_parameters():
        if name in unread:
            parameter.requires_grad_(False)
