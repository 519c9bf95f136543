"""Places in a picture as vectors, in one basis of waves for corners of boxes and for patches."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

MAX_CYCLES = 16.0  # of the finest wave, per image side


def encode(
    points: Float[Tensor, "*n 2"], num_waves: int, max_cycles: float = MAX_CYCLES
) -> Float[Tensor, "*n w"]:
    """Sinusoids of (x, y) in [0, 1], in float32 whatever the numbers are; four times as many as
    waves, and of the norm sqrt(2 x num_waves) at every place. The first wave is half a cycle."""
    # no buffer: `.bfloat16()` would round the waves, the finest by 0.03 cycles per image side
    octaves = math.log2(2 * max_cycles)
    waves = torch.logspace(0, octaves, num_waves, base=2, dtype=torch.float32, device=points.device)
    phase = points.float()[..., None] * (math.pi * waves)
    return torch.cat([phase.sin(), phase.cos()], -1).flatten(-2)


def patch_centres(grid: tuple[int, int], device: torch.device) -> Float[Tensor, "p 2"]:
    """(x, y) in [0, 1] of every patch, row by row."""
    rows, columns = grid
    y = (torch.arange(rows, device=device, dtype=torch.float32) + 0.5) / rows
    x = (torch.arange(columns, device=device, dtype=torch.float32) + 0.5) / columns
    return torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)], -1).flatten(
        0, 1
    )
