"""Collectives with the right gradient; every one is the identity in a single process.

A loss that is a sum over ranks is differentiated by all ranks at once: the backward of `total` and
of `gather` add over ranks, so gradients come out world-size times the one-process gradient and the
mean that DDP takes gives exactly that gradient back.
"""

import os
from typing import Any, TypeVar

import torch
import torch.distributed as td
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

T = TypeVar("T")
# torch 2.14 renamed both and warns of the old names; the oldest torch we take has only these
NEW_NAMES = hasattr(td, "all_gather_single")


def world_size() -> int:
    """1 where torch.distributed is not in use."""
    return td.get_world_size() if td.is_available() and td.is_initialized() else 1


def rank() -> int:
    """0 where torch.distributed is not in use."""
    return td.get_rank() if td.is_available() and td.is_initialized() else 0


def meet() -> None:
    """Under torchrun the ranks work together; for what is not started through Lightning."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not td.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        td.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


class _Gather(torch.autograd.Function):
    """Packs its columns to one of bytes, so that numbers of every type travel together."""

    @staticmethod
    def forward(ctx: Any, *columns: Tensor) -> tuple[Tensor, ...]:
        packed = [_flat(column.contiguous()).view(torch.uint8) for column in columns]
        table = _all_gather(torch.cat(packed, 1))
        parts = table.split([x.shape[1] for x in packed], 1)
        gathered = tuple(
            part.contiguous().view(column.dtype).reshape(len(table), *column.shape[1:])
            for part, column in zip(parts, columns, strict=True)
        )
        fixed = [x for x, needed in zip(gathered, ctx.needs_input_grad, strict=True) if not needed]
        ctx.mark_non_differentiable(*fixed)
        return gathered

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad) if needed]
        flat = [_flat(grads[i]) for i in wanted]
        mine = _reduce_scatter(torch.cat(flat, 1)).split([x.shape[1] for x in flat], 1)
        found: list[Tensor | None] = [None] * len(grads)
        for i, part in zip(wanted, mine, strict=True):
            found[i] = part.reshape(len(part), *grads[i].shape[1:])
        return tuple(found)


def _flat(column: Tensor) -> Tensor:
    return column.flatten(1) if column.ndim > 1 else column[:, None]


def _all_gather(rows: Tensor) -> Tensor:
    table = rows.new_empty(world_size() * len(rows), rows.shape[1])
    (td.all_gather_single if NEW_NAMES else td.all_gather_into_tensor)(table, rows)
    return table


def _reduce_scatter(table: Tensor) -> Tensor:
    mine = table.new_empty(len(table) // world_size(), table.shape[1])
    (td.reduce_scatter_single if NEW_NAMES else td.reduce_scatter_tensor)(mine, table)
    return mine


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


def gather(*columns: Tensor) -> tuple[Tensor, ...]:
    """Rows of all ranks in rank order, in one collective however many columns there are.

    Every column of every rank holds the same number of rows. The gradient of a row is the sum of
    what every rank derives for it, again one collective.
    """
    if world_size() == 1:
        return columns
    gathered: tuple[Tensor, ...] = _Gather.apply(*columns)
    return gathered


def gather_objects(value: T) -> list[T]:
    """What every rank gave, in rank order; for counters and words, not for tensors.

    From host to host: over the training's own group words would travel through the GPUs, behind
    all that these have to do.
    """
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    td.all_gather_object(values, value, group=side_group())
    return values


def total(value: Tensor) -> Tensor:
    """Sum over ranks; its gradient is the sum of the ranks' gradients."""
    if world_size() == 1:
        return value
    summed: Tensor = _Total.apply(value)
    return summed


_side: dict[str, Any] = {}


def side_group(use: str = "words") -> Any:
    """A gloo group of all ranks for small words between hosts, apart from the training's own
    collectives; None in a single process. All ranks must ask for it first at the same moment.

    A thread that talks while others do needs one for its own `use`.
    """
    if world_size() == 1:
        return None
    if use not in _side:
        _side[use] = td.new_group(backend="gloo", timeout=store().timeout)
    return _side[use]


def store() -> Any:
    """Where the processes of this run find each other; with a connection of the caller's own."""
    return td.distributed_c10d._get_default_store().clone()


def wait(work: td.Work) -> None:
    """Waits for a collective of the side group; where a process hangs, this name is looked for."""
    work.wait()


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that FSDP has spread over ranks, each of which must ask; others unchanged."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def spread(tensor: Tensor, *, like: Tensor) -> Tensor:
    """A whole tensor, the same on all ranks, where `like` is and spread as `like` is."""
    moved = tensor.to(like.device, copy=True)
    if not isinstance(like, DTensor):
        return moved
    return distribute_tensor(moved, like.device_mesh, like.placements, src_data_rank=None)


class _Copy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: DTensor) -> Tensor:
        ctx.mesh, ctx.placements = tensor.device_mesh, tensor.placements
        return tensor.to_local().clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.clone()
        td.all_reduce(grad)
        return DTensor.from_local(grad / world_size(), ctx.mesh, ctx.placements, run_check=False)


def local(tensor: Tensor) -> Tensor:
    """This rank's own copy of a parameter that every rank of the run has whole; others unchanged.

    Its gradient is the mean over ranks, as FSDP's and DDP's are. Without gradient it is the very
    memory. No hook of the parameter does this: `Module.to` would lose it.
    """
    if not isinstance(tensor, DTensor):
        return tensor
    if not (torch.is_grad_enabled() and tensor.requires_grad):
        return tensor.to_local()
    copy: Tensor = _Copy.apply(tensor)
    return copy
