"""How published models turn their queries and keys: settings of M-RoPE, and the truth in float64.

Read by `rotary_conformance`, and written a second time: nothing here knows `rotary/`. It imports
torch alone, so that a checkout runs where an engine is built; therefore no jaxtyping.
"""

from typing import NamedTuple

import torch
from torch import Tensor

AXES = ("time", "the row", "the column")
LAYOUTS = ("chunked", "interleaved", "head_wise")


class Settings(NamedTuple):
    """Of a head's `dim` channels the first `rotary_dim` turn, as f = rotary_dim / 2 pairs; pair m
    by base^(-m / f) rad a step of the axis that it belongs to.

    `sections` are of time, row and column. chunked: so many pairs, one axis after the other.
    interleaved: pairs 1, 4, 7 ... below 3 sections[1] are the row's, 2, 5, 8 ... below 3
    sections[2] the column's, the rest time's. head_wise: so many key heads, each with every
    frequency; the query heads of a key head have its axis.
    """

    name: str
    dim: int
    rotary_dim: int
    base: float
    sections: tuple[int, int, int]
    layout: str
    pairs: str = "half"  # channel m with m + f (NeoX, rotate_half); adjacent: 2 m with 2 m + 1
    heads: int = 4
    kv_heads: int = 2

    @property
    def num_pairs(self) -> int:
        """Pairs of channels of a head that turn."""
        return self.rotary_dim // 2

    def problem(self) -> str:
        """Why these are no settings, in words; empty where they are."""
        whole = self.kv_heads if self.layout == "head_wise" else self.num_pairs
        if self.layout not in LAYOUTS or self.pairs not in ("half", "adjacent"):
            return "layout is chunked, interleaved or head_wise, and pairs half or adjacent"
        if self.rotary_dim % 2 or not 2 <= self.rotary_dim <= self.dim:
            return f"rotary_dim={self.rotary_dim} is no even number of the {self.dim} channels"
        if self.heads % self.kv_heads:
            return f"{self.kv_heads} key heads do not divide {self.heads} heads"
        if len(self.sections) != 3 or sum(self.sections) != whole:
            return f"sections={list(self.sections)} are not three whose sum is {whole}"
        return ""


PUBLISHED = (
    Settings("qwen2_vl", 128, 128, 1e6, (16, 24, 24), "chunked"),
    Settings("qwen3_vl", 128, 128, 5e6, (24, 20, 20), "interleaved"),
    Settings("qwen3_5", 256, 64, 1e7, (11, 11, 10), "interleaved"),
    Settings("glm4v", 128, 64, 1e4, (8, 12, 12), "chunked", pairs="adjacent"),
    Settings("genlip", 64, 64, 1e4, (8, 12, 12), "interleaved"),  # 11, 11 and 10 pairs, in fact
    Settings("mhrope", 128, 128, 5e6, (2, 3, 3), "head_wise", heads=16, kv_heads=8),
)


def frequencies(settings: Settings) -> Tensor:
    """[f]: rad a step, from 1 down."""
    f = settings.num_pairs
    return settings.base ** (-torch.arange(f, dtype=torch.float64) / f)


def axes(settings: Settings, heads: int) -> Tensor:
    """[heads, f]: 0 time, 1 row, 2 column, of each of `heads` query or key heads."""
    found = torch.arange(3).repeat_interleave(torch.tensor(settings.sections))
    if settings.layout == "head_wise":
        return found.repeat_interleave(heads // len(found))[:, None].expand(-1, settings.num_pairs)
    if settings.layout == "interleaved":
        found = torch.zeros(settings.num_pairs, dtype=torch.long)
        for axis in (1, 2):
            found[axis : 3 * settings.sections[axis] : 3] = axis
    return found.expand(heads, -1)


def channels(settings: Settings) -> tuple[Tensor, Tensor]:
    """First and second channel of every pair, [f] each."""
    m = torch.arange(settings.num_pairs)
    return (m, m + settings.num_pairs) if settings.pairs == "half" else (2 * m, 2 * m + 1)


def turned(x: Tensor, positions: Tensor, settings: Settings) -> Tensor:
    """`x` [b, h, n, dim] at `positions` [3, b, n]: the truth, in float64. The first channel of a
    pair goes towards the second."""
    of_pairs = positions.double()[axes(settings, x.shape[1])]  # [h, f, b, n]
    angles = of_pairs.permute(2, 0, 3, 1) * frequencies(settings)
    first, second = channels(settings)
    found = x.double().clone()
    a, b = found[..., first], found[..., second]
    found[..., first] = a * angles.cos() - b * angles.sin()
    found[..., second] = a * angles.sin() + b * angles.cos()
    return found
