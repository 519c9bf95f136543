"""What an attention asks of a relative encoding, and tables of buckets in it."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cloc.models.positions.place import Place


class Relative(nn.Module):
    """Base of them all. What it begins with is its source's; in a model that was trained without it
    what `begins_at_zero` names is zero, so that this answers as before."""

    begins_at_zero: tuple[str, ...] = ("",)  # starts of the names of its weights

    on_values = False

    def buckets(self, place: Place, device: torch.device) -> Int[Tensor, "k n n"]:
        """Of every pair of tokens of the whole grid, for each table its bucket."""
        raise NotImplementedError

    def bias(
        self, q: Float[Tensor, "b h n d"], k: Float[Tensor, "b h n d"], place: Place
    ) -> Float[Tensor, "one h n n"]:
        """What is added to the logits q k / sqrt(d), in the type of `q`."""
        raise NotImplementedError

    def values(self, shares: Float[Tensor, "b h n n"], place: Place) -> Float[Tensor, "b h n d"]:
        """What is added to the mean of the values that `shares` weigh; where `on_values`."""
        raise NotImplementedError


def picked(table: Float[Tensor, "h t"], buckets: Int[Tensor, "one n n"]) -> Float[Tensor, "..."]:
    """[one, h, n, n]: of each head its entry for every pair. (`table[:, buckets]` takes five times
    as long, there and back.)"""
    entries = table.index_select(1, buckets.flatten())
    return entries.unflatten(1, buckets.shape).transpose(0, 1)


def asked(
    x: Float[Tensor, "b h n d"], table: Float[Tensor, "g d t"], buckets: Int[Tensor, "one n n"]
) -> Float[Tensor, "b h n n"]:
    """x_i . table[bucket of (i, j)]: the products with all buckets first, then those of the pairs,
    so that a vector per pair never exists (iRPE, section 4.3)."""
    products = x @ _of_heads(table).to(x.dtype)
    index = buckets[:, None].expand(*x.shape[:2], -1, -1)
    return products.gather(-1, index)


def summed(
    shares: Float[Tensor, "b h n n"], table: Float[Tensor, "g d t"], buckets: Int[Tensor, "one n n"]
) -> Float[Tensor, "b h n d"]:
    """The sum over j of shares[i, j] * table[bucket of (i, j)]."""
    index = buckets[:, None].expand(*shares.shape[:2], -1, -1)
    of_bucket = shares.new_zeros(*shares.shape[:3], table.shape[-1])
    of_bucket.scatter_add_(-1, index, shares)
    return of_bucket @ _of_heads(table).to(shares.dtype).transpose(-1, -2)


def _of_heads(table: Float[Tensor, "g d t"]) -> Tensor:
    """[d, t] where all heads share one: a single product, and not one for every head."""
    return table[0] if len(table) == 1 else table
