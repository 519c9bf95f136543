"""A small language model whose prefix are pictures: their patches see each other, words see what
stands before them (the prefix-LM of arXiv 1910.10683; PaliGemma, arXiv 2407.07726)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cloc.decoder.attention import Attention, Seen, Tables
from cloc.decoder.rms_norm import RMSNorm
from cloc.decoder.rotary import Part, Rotary
from cloc.decoder.steer import Steer
from cloc.decoder.twin import Twin
from cloc.errors import UserError
from cloc.models.made import made
from cloc.models.positions.rotary.rotate import tables

STD = 0.02  # of the weights that a model begins with (GPT-2)


class FeedForward(nn.Module):
    """SwiGLU (arXiv 2002.05202) with `hidden` channels."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        found: Tensor = self.down(F.silu(self.gate(x)) * self.up(x))
        return found


class Block(nn.Module):
    """Attention and feed-forward, each of what RMSNorm gives and added to what was there."""

    def __init__(self, width: int, num_heads: int, hidden: int) -> None:
        super().__init__()
        self.norm_attention = RMSNorm(width)
        self.attention = Attention(width, num_heads)
        self.norm_feed_forward = RMSNorm(width)
        self.feed_forward = FeedForward(width, hidden)

    def forward(
        self,
        x: Float[Tensor, "b n w"],
        turns: Tables,
        sees: Bool[Tensor, "#b one n m"] | None,
        past: Seen | None,
        steer: Steer | None,
        share: Float[Tensor, " b"] | None,
    ) -> tuple[Float[Tensor, "b n w"], Seen]:
        found, seen = self.attention(self.norm_attention(x), turns, sees, past, steer)
        x = x + found
        own, twin = self.norm_feed_forward(x), isinstance(self.feed_forward, Twin)
        return x + (self.feed_forward(own, share) if twin else self.feed_forward(own)), seen


class PrefixLM(nn.Module):
    """`vocabulary` tokens; the table that reads them gives their logits too. `rotary` are options
    of `Rotary`. `UserError` for sizes that do not fit each other."""

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 128,
        layers: int = 4,
        num_heads: int = 4,
        hidden: int | None = None,
        rotary: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        own = 8 * width // 3 if hidden is None else hidden  # as many weights as 4 x width without
        if min(vocabulary, width, layers, num_heads, own) < 1 or width % num_heads:
            raise UserError(
                f"decoder.language.width={width}, num_heads={num_heads}, layers={layers}, "
                f"hidden={hidden}: give whole numbers above 0, the width a multiple of the heads"
            )
        self.width, self.num_heads = width, num_heads
        self.token_embedding = nn.Embedding(vocabulary, width)
        sizes = width // num_heads, num_heads
        self.rotary = made(Rotary, rotary or {}, "decoder.language.rotary", *sizes)
        self.blocks = nn.ModuleList(Block(width, num_heads, own) for _ in range(layers))
        self.norm = RMSNorm(width)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:  # what is added to the stream, smaller the more often it is
                deep = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=STD / (2 * layers) ** 0.5 if deep else STD)

    def forward(
        self,
        x: Float[Tensor, "b n w"],
        positions: Float[Tensor, "#b n three"],
        sees: Bool[Tensor, "#b one n m"] | None,
        past: Sequence[Seen] | None = None,
        *,
        steer: Steer | None = None,
        share: Float[Tensor, " b"] | None = None,
    ) -> tuple[Float[Tensor, "b n w"], list[Seen]]:
        """What the last norm gives for each of `x`, tokens or patches as vectors, behind those of
        `past`; and what to give as `past` for those that follow. `share` is of the old one of each
        twin (`cloc.decoder.twin`)."""
        turns = tables(self.rotary(positions))
        seen = []
        for number, block in enumerate(self.blocks):
            before = None if past is None else past[number]
            own_steer = steer if steer is not None and steer.in_layer(number) else None
            x, own = block(x, turns, sees, before, own_steer, share)
            seen.append(own)
        return self.norm(x), seen

    def logits(self, x: Float[Tensor, "*b w"]) -> Float[Tensor, "*b v"]:
        """Of every token of the vocabulary as the next one."""
        return F.linear(x, self.token_embedding.weight)


def sight(parts: Sequence[Part]) -> Bool[Tensor, "n n"]:
    """Which tokens (columns) each token (row) of `parts` sees: those up to itself, and all of its
    own picture."""
    counts = [part if isinstance(part, int) else part[0] * part[1] for part in parts]
    ends: Int[Tensor, " n"] = torch.cat([torch.zeros(0, dtype=torch.long), *_ends(parts, counts)])
    return torch.arange(len(ends)) <= ends[:, None]


def _ends(parts: Sequence[Part], counts: Sequence[int]) -> list[Tensor]:
    """The last token that each one sees."""
    found, start = [], 0
    for part, count in zip(parts, counts, strict=True):
        own = torch.arange(start, start + count)
        found.append(own if isinstance(part, int) else torch.full_like(own, start + count - 1))
        start += count
    return found
