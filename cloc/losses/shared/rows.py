"""What several losses need: padding wiped, a teacher's rows, chunks of rows."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from cloc import dist
from cloc.errors import UserError
from cloc.numerics import upcast


def wipe(rows: Float[Tensor, "*n d"], valid: Bool[Tensor, "*n"]) -> Float[Tensor, "*n d"]:
    """Zeros in padded rows, upcast: what padding holds, NaN and infinity included, has no say."""
    return upcast(rows).masked_fill(~valid[..., None], 0)


def one_minus_cosine(
    student: Float[Tensor, "*n d"], teacher: Float[Tensor, "*n e"]
) -> Float[Tensor, "*n"]:
    """Of unit vectors, in [0, 2]; also 0 between two rows of zeros. The teacher gets no gradient.

    Half the squared distance: a student that still is its teacher has a gradient of exactly zero,
    where that of the product is rounding, which Adam makes as large as any other.
    """
    if student.shape[-1] != teacher.shape[-1]:
        raise UserError(
            f"the teacher's embeddings have {teacher.shape[-1]} numbers and the model's "
            f"{student.shape[-1]}; start from a tower with embed_dim={student.shape[-1]}"
        )
    return (upcast(student) - upcast(teacher).detach()).square().sum(-1) / 2


def own_columns(valid: Bool[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Where the rows of this rank stand among the gathered rows of all ranks."""
    return torch.arange(len(valid), device=valid.device) + dist.rank() * len(valid)


def sum_over_chunks(
    partial: Callable[[slice], Tensor], num_rows: int, *, chunk: int | None
) -> Tensor:
    """Sum of `partial(rows)` over consecutive slices of at most `chunk` rows; None is one slice.

    With a chunk nothing that `partial` makes is kept: backward computes it again, slice by slice.
    """
    if chunk is None:
        return partial(slice(0, num_rows))
    starts = range(0, max(num_rows, 1), chunk)
    sums = [
        # no randomness inside, and saving the generator's state would wait for the device
        checkpoint(partial, slice(at, at + chunk), use_reentrant=False, preserve_rng_state=False)
        for at in starts
    ]
    return torch.stack(sums).sum(0)


def check_option(name: str, given: str, options: Sequence[str]) -> None:
    """Raises `UserError` that names the options."""
    if given not in options:
        raise UserError(f"{name} is {given!r}; choose one of {', '.join(options)}")


def check_chunk(name: str, chunk: int | None) -> None:
    """Raises `UserError` for a chunk without rows."""
    if chunk is not None and chunk < 1:
        raise UserError(f"{name} is {chunk}; it counts rows of one slice, so 1 or more")
