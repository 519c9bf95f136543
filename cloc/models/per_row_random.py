"""Random numbers that do not depend on how a batch is cut: a piece has its rows of the batch's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cloc.errors import UserError

aten = torch.ops.aten
SIZED = (aten.rand, aten.randn)
LIKE = (aten.rand_like, aten.randn_like)
IN_PLACE = (aten.bernoulli_, aten.uniform_, aten.normal_)


class RowDraws(TorchDispatchMode):
    """Inside, rows `start` to `stop` of a batch of `total` rows draw what they would in one pass.

    Every draw is made for the whole batch, from the same state of the generator for each piece, and
    cut. A tensor belongs to the rows if its first axis is as long as the piece, or some times as
    long (regions, attention heads); any other draw is the batch's own. Raises `UserError` at a
    draw that cannot be cut, such as dropout inside a fused attention kernel.
    """

    def __init__(self, start: int, stop: int, total: int) -> None:
        super().__init__()
        self.start, self.stop, self.total = start, stop, total

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs `func`; if it draws random numbers, for all rows."""
        options = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded not in func.tags or not _draws(func, args, options):
            return func(*args, **options)
        first, *rest = args
        kind = func.overloadpacket
        if kind in SIZED:
            return self._cut(lambda size: func(size, *rest, **options), first)
        if kind in LIKE:
            return self._cut(lambda size: func(_empty(first, size), *rest, **options), first.shape)
        if kind in IN_PLACE:
            return first.copy_(
                self._cut(lambda size: func(_empty(first, size), *rest, **options), first.shape)
            )
        if kind is aten.native_dropout:
            # ones stay where kept, so what is cut is the factor of every value, and the mask
            factor = lambda size: func(_empty(first, size).fill_(1), *rest, **options)  # noqa: E731
            scale, mask = (self._rows(x, first.shape) for x in factor(self._size(first.shape)))
            return first * scale, mask
        raise UserError(
            f"accumulate: {func} draws random numbers that cannot be cut into rows; set "
            "accumulate=1, or the dropout of this tower's attention to 0"
        )

    def _cut(self, draw: Callable[[list[int]], Tensor], shape: Sequence[int]) -> Tensor:
        return self._rows(draw(self._size(shape)), shape)

    def _size(self, shape: Sequence[int]) -> list[int]:
        """`shape` for all rows of the batch, if it belongs to those of the piece."""
        times = self._times(shape)
        return [self.total * times, *shape[1:]] if times else list(shape)

    def _rows(self, drawn: Tensor, shape: Sequence[int]) -> Tensor:
        times = self._times(shape)
        return drawn[self.start * times : self.stop * times] if times else drawn

    def _times(self, shape: Sequence[int]) -> int:
        """How many entries of the first axis belong to a row; 0 if the axis is not of rows."""
        rows = self.stop - self.start
        return shape[0] // rows if len(shape) and shape[0] % rows == 0 else 0


def _draws(func: Any, args: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """False for attention kernels that are told to drop nothing."""
    names = [x.name for x in func._schema.arguments]
    if "dropout_p" not in names:
        return True
    given = dict(zip(names, args, strict=False))
    return {**given, **options}.get("dropout_p", 0.0) > 0


def _empty(like: Tensor, size: Sequence[int]) -> Tensor:
    """Of `size`, with the order of axes in memory of `like`: kernels draw in that order."""
    order = sorted(range(like.ndim), key=lambda axis: like.stride(axis), reverse=True)
    back = sorted(range(like.ndim), key=lambda place: order[place])
    return like.new_empty([size[axis] for axis in order]).permute(back)


def draws_can_be_cut(model: nn.Module) -> bool:
    """False where blocks are compiled, or run again on their own in backward: neither would see a
    `RowDraws` that is entered around the tower."""
    return not any(
        getattr(module, "grad_checkpointing", False) or module._compiled_call_impl is not None
        for module in model.modules()
    )
