"""Rotation of pairs of channels by an angle (RoFormer, arXiv 2104.09864)."""

import torch
from jaxtyping import Float
from torch import Tensor


def rotate(
    x: Float[Tensor, "b h n d"], angles: Float[Tensor, "one g n f"]
) -> Float[Tensor, "b h n d"]:
    """Channels 2m and 2m + 1 of `x` turned by `angles`[..., m], in radians; d = 2 f. Computed in
    float32 whatever the autocast, since a position is lost in the eight bits of bfloat16."""
    first, second = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = angles.cos(), angles.sin()
    turned = torch.stack([first * cos - second * sin, first * sin + second * cos], -1)
    return turned.flatten(-2).to(x.dtype)


def frequencies(count: int, base: float, *, device: torch.device | None = None) -> Tensor:
    """base^(-m / count) for m = 0 to count - 1: from 1 down to almost 1 / base, in float32."""
    return base ** (-torch.arange(count, dtype=torch.float32, device=device) / count)
