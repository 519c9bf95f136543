"""Rotation of pairs of channels by an angle (RoFormer, arXiv 2104.09864)."""

import torch
from jaxtyping import Float
from torch import Tensor

from cloc.numerics import upcast


def rotate(
    x: Float[Tensor, "b h n d"], angles: Float[Tensor, "one g n f"]
) -> Float[Tensor, "b h n d"]:
    """Channels 2m and 2m + 1 of `x` turned by `angles`[..., m], in radians; d = 2 f. Computed in
    float32 at least, whatever the autocast: a position is lost in the eight bits of bfloat16."""
    return turn(x, *tables(angles))


def tables(angles: Float[Tensor, "one g n f"]) -> tuple[Tensor, Tensor]:
    """Of every channel the cosine, and the sine that its neighbour is multiplied by: [one, g, n,
    2 f] each, for `turn`."""
    cos, sin = angles.cos(), angles.sin()
    return cos.repeat_interleave(2, -1), torch.stack([-sin, sin], -1).flatten(-2)


def turn(x: Float[Tensor, "b h n d"], cos: Tensor, sin: Tensor) -> Float[Tensor, "b h n d"]:
    """`rotate` with the `tables` of its angles, which several tensors share."""
    own = upcast(x)
    neighbours = own.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    return torch.addcmul(own * cos, neighbours, sin).to(x.dtype)


def frequencies(count: int, base: float, *, device: torch.device | None = None) -> Tensor:
    """base^(-m / count) for m = 0 to count - 1: from 1 down to almost 1 / base, in float32."""
    return base ** (-torch.arange(count, dtype=torch.float32, device=device) / count)
