"""Which bucket each pair of tokens falls into: what all relative encodings share."""

from collections.abc import Callable

import torch
from jaxtyping import Int
from torch import Tensor


def offsets(rows: int, columns: int, device: torch.device) -> Int[Tensor, "two p p"]:
    """How many rows and columns the second patch of a pair (the key) stands below and right of the
    first (the query); patches row by row."""
    y, x = torch.meshgrid(
        torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij"
    )
    where = torch.stack([y.flatten(), x.flatten()])
    return where[:, None, :] - where[:, :, None]


def with_prefix(
    buckets: Int[Tensor, "p p"], num_prefix: int, of_prefix: Callable[[Tensor], None]
) -> Int[Tensor, "n n"]:
    """`buckets` of the patches behind rows and columns of tokens that stand nowhere, which
    `of_prefix` fills in place."""
    count = buckets.shape[0] + num_prefix
    whole = buckets.new_zeros(count, count)
    whole[num_prefix:, num_prefix:] = buckets
    of_prefix(whole)
    return whole
