"""Collectives with the right gradient; every one is the identity in a single process.

A loss that is a sum over ranks is differentiated by all ranks at once: the backward of `total` and
of `gather` add over ranks, so gradients come out world-size times the one-process gradient and the
mean that DDP takes gives exactly that gradient back.
"""

from typing import Any, TypeVar

import torch
import torch.distributed as td
from torch import Tensor

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


_side: list[Any] = []


def side_group() -> Any:
    """A gloo group of all ranks for small words between hosts, apart from the training's own
    collectives; None in a single process. All ranks must ask for it first at the same moment."""
    if world_size() == 1:
        return None
    if not _side:
        _side.append(td.new_group(backend="gloo", timeout=store().timeout))
    return _side[0]


def store() -> Any:
    """Where the processes of this run find each other; with a connection of the caller's own."""
    return td.distributed_c10d._get_default_store().clone()


def wait(work: td.Work) -> None:
    """Waits for a collective of the side group; where a process hangs, this name is looked for."""
    work.wait()
