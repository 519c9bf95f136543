"""Where the tokens of a forward stand: what a relative or rotary encoding reads.

It is made once per forward and handed from block to block as an argument, so that a block that is
run again in backward (recompute) sees the places of its own forward and not of a later one.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Place(NamedTuple):
    """Of tokens in the order of the sequence: `num_prefix` that stand nowhere (class token), then
    patches. Leading axes of 1 are shared by the batch; patch dropout gives each image its own."""

    rows: int  # of the whole grid
    columns: int
    num_prefix: int
    kept: Int[Tensor, "b p"] | None  # which patches these are, row by row; None: all
    angles: Float[Tensor, "one h n f"] | None = None  # of the rotation of each pair of channels
    buckets: Int[Tensor, "one k n n"] | None = None  # of each pair of tokens, per table
    mask: Tensor | None = None  # added to the logits; of a caller

    def coordinates(self, device: torch.device) -> Float[Tensor, "one p two"]:
        """Row and column of every patch, from 0, in float32. (No remainder: ONNX has none by a side
        that is known only at run time.)"""
        sides = [torch.arange(side, device=device) for side in (self.rows, self.columns)]
        whole = torch.stack(torch.meshgrid(*sides, indexing="ij"), -1).flatten(0, 1).float()
        return whole[None] if self.kept is None else whole[self.kept]

    def of_kept(self, pairs: Int[Tensor, "k n n"]) -> Int[Tensor, "one k m m"]:
        """What is known of every pair of tokens of the whole grid, of the tokens there are."""
        if self.kept is None:
            return pairs[None]
        first = torch.arange(self.num_prefix, device=pairs.device)
        tokens = torch.cat([first.expand(len(self.kept), -1), self.kept + self.num_prefix], 1)
        return pairs[:, tokens[:, :, None], tokens[:, None, :]].transpose(0, 1)


def masked(place: "Place | None", mask: Tensor) -> "Place | Tensor":
    """The same place with `mask` added to the logits; of a tower without encodings the mask."""
    return mask if place is None else place._replace(mask=mask)
