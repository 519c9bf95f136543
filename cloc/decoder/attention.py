"""Attention of a decoder: one softmax over all that a token sees, patches and words alike."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cloc.decoder.steer import Steer, applied
from cloc.models.positions.rotary.rotate import turn

Tables = tuple[Tensor, Tensor]  # `cloc.models.positions.rotary.rotate.tables` of the new tokens


class Seen(NamedTuple):
    """Turned keys and values of the tokens so far, of one block."""

    keys: Float[Tensor, "b h m d"]
    values: Float[Tensor, "b h m d"]

    def repeated(self, count: int) -> "Seen":
        """Of each sequence `count` times, one behind the other."""
        return Seen(*(part.repeat_interleave(count, 0) for part in self))


class Attention(nn.Module):
    """Of `num_heads` heads, without biases. Keys are kept as they were turned: a token never moves,
    so later ones need not look at it again."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "b n w"],
        tables: Tables,
        sees: Bool[Tensor, "#b one n m"] | None,
        past: Seen | None = None,
        steer: Steer | None = None,
    ) -> tuple[Float[Tensor, "b n w"], Seen]:
        """`x` are the tokens behind those of `past`; `sees` says which of all m of them each may
        look at, one at least; None: all. `steer` changes what one of the new ones makes of it."""
        parts = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind()
        query, key = turn(query, *tables), turn(key, *tables)
        if past is not None:
            key, value = torch.cat([past.keys, key], 2), torch.cat([past.values, value], 2)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=sees).transpose(1, 2)
        if steer is not None and sees is not None:
            found = applied(steer, found, query, key, value, sees)
        return self.out(found.flatten(2)), Seen(key, value)
