"""Collectives with the right gradient; every one is the identity in a single process.

A loss that is a sum over ranks is differentiated by all ranks at once: the backward of `total` and
of `gather` add over ranks, so gradients come out world-size times the one-process gradient and the
mean that DDP takes gives exactly that gradient back.
"""

from typing import Any, TypeVar

import torch
import torch.distributed as td
from torch import Tensor
from torch.distributed.tensor import DTensor, Partial, distribute_tensor

T = TypeVar("T")


def world_size() -> int:
    """1 where torch.distributed is not in use."""
    return td.get_world_size() if td.is_available() and td.is_initialized() else 1


def rank() -> int:
    """0 where torch.distributed is not in use."""
    return td.get_rank() if td.is_available() and td.is_initialized() else 0


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        td.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.clone(memory_format=torch.contiguous_format)
        td.all_reduce(grad)
        return grad.chunk(world_size())[rank()]


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        value = value.clone()
        td.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.clone()
        td.all_reduce(grad)
        return grad


def gather(rows: Tensor) -> Tensor:
    """Rows of all ranks in rank order; every rank must hold the same number of rows.

    The gradient of a row is the sum of what every rank derives for it.
    """
    if world_size() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)
    return gathered


def gather_objects(value: T) -> list[T]:
    """What every rank gave, in rank order; for counters and words, not for tensors."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    td.all_gather_object(values, value)
    return values


def total(value: Tensor) -> Tensor:
    """Sum over ranks; its gradient is the sum of the ranks' gradients."""
    if world_size() == 1:
        return value
    summed: Tensor = _Total.apply(value)
    return summed


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that FSDP has spread over ranks, each of which must ask; others unchanged."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def spread(tensor: Tensor, *, like: Tensor) -> Tensor:
    """A whole tensor, the same on all ranks, where `like` is and spread as `like` is."""
    moved = tensor.to(like.device, copy=True)
    if not isinstance(like, DTensor):
        return moved
    return distribute_tensor(moved, like.device_mesh, like.placements, src_data_rank=None)


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor that FSDP has spread or repeated; others unchanged.

    Its gradient is one summand of the whole. Without gradient it is the very memory.
    """
    if not isinstance(tensor, DTensor):
        return tensor
    return tensor.to_local(grad_placements=[Partial()] * tensor.device_mesh.ndim)
