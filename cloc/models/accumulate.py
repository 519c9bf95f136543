"""A tower's pass over a batch in pieces, of which only the features stay: cached features.

A contrastive loss wants the features of the whole batch at once, and they are small; what fills the
memory is what the towers keep for backward. So every piece is run, its features are kept, and the
losses see the batch as if it had been run whole; backward then runs one piece after the other again
(GradCache, arXiv 2101.06983). One forward of the model and one backward, so DDP's and every other
wrapper's hooks see nothing unusual, and every parameter's gradient is the whole batch's.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from cloc.errors import UserError
from cloc.models.per_row_random import RowDraws


def in_pieces(
    run: Callable[..., tuple[Any, ...]],
    *columns: Tensor | None,
    pieces: int,
    cut_draws: bool = False,
) -> tuple[Any, ...]:
    """`run` over at most `pieces` consecutive slices of the rows of `columns`, results joined.

    With one piece this is `run(*columns)`. With more, nothing that `run` makes is kept: backward
    computes it again, piece by piece, with the random numbers that the first pass drew. With
    `cut_draws` these are the ones that a single pass would draw, and the generator ends where that
    would leave it; without, a piece draws its own: the same objective on other draws. A `None`
    among columns or results stays None.
    """
    if pieces == 1:
        return run(*columns)
    done: list[tuple[Any, ...]] = []
    start, total = 0, _num_rows(columns)
    for piece in _split(columns, pieces):
        stop = start + _num_rows(piece)
        rows = (start, stop, total) if cut_draws else None
        # the next piece draws the same numbers again
        with _generators_kept(piece, enabled=cut_draws and stop < total):
            part = partial(_of_rows, run, rows)
            done.append(checkpoint(part, *piece, use_reentrant=False, preserve_rng_state=True))
        start = stop
    return tuple(
        None if parts[0] is None else torch.cat(parts) for parts in zip(*done, strict=True)
    )


def _of_rows(
    run: Callable[..., tuple[Any, ...]], rows: tuple[int, int, int] | None, *piece: Tensor | None
) -> tuple[Any, ...]:
    with nullcontext() if rows is None else RowDraws(*rows):
        return run(*piece)


def _generators_kept(
    piece: Sequence[Tensor | None], *, enabled: bool
) -> AbstractContextManager[None]:
    """Afterwards the generators, of the host and of the device of `piece`, are as before."""
    found = next(x for x in piece if x is not None).device
    devices = [] if found.type == "cpu" else [found]
    kind = "cuda" if found.type == "cpu" else found.type
    return torch.random.fork_rng(devices, enabled=enabled, device_type=kind)


def _num_rows(columns: Sequence[Tensor | None]) -> int:
    return len(next(x for x in columns if x is not None))


def _split(columns: tuple[Tensor | None, ...], pieces: int) -> list[tuple[Tensor | None, ...]]:
    """Equal slices where the rows allow it, the last one shorter where not; none is empty."""
    found = [None if x is None else x.chunk(pieces) for x in columns]
    num = max(len(x) for x in found if x is not None)
    return list(zip(*((None,) * num if x is None else x for x in found), strict=True))


def check_pieces(model: nn.Module, num_images: int, pieces: int) -> None:
    """Raises `UserError` where a rank's images are no equal pieces, and where pieces would not give
    the batch's numbers: a batch norm's statistics are those of one pass."""
    if pieces < 1 or num_images % pieces:
        raise UserError(
            f"accumulate={pieces} does not divide the {num_images} images of a rank's batch; set "
            "accumulate to a divisor of batch_size / number of ranks"
        )
    norms = pieces > 1 and any(isinstance(m, _BatchNorm) and m.training for m in model.modules())
    if norms:
        raise UserError(
            f"accumulate={pieces}: this tower has batch norms, whose statistics would be those of "
            "a piece and not of the batch; set accumulate=1, or choose a tower without (ViT, "
            "ConvNeXt, Swin)"
        )
