"""RoPE-Mixed: every pair of channels turns with a direction of its own, learned per layer and head
(Heo et al., ECCV 2024, arXiv 2403.13298)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc.models.positions.place import Place
from cloc.models.positions.rotary.rotate import frequencies
from cloc.numerics import upcast


class Mixed(nn.Module):
    """Angle = column * theta_x + row * theta_y. At the start the magnitudes are those of `base` 10
    and each head's axes are turned by an angle drawn for it: half of the pairs look along the one
    axis, half along the other."""

    multiple = 4
    per_layer = True
    frequencies: nn.Parameter

    def __init__(self, head_width: int, num_heads: int, *, base: float = 10.0) -> None:
        super().__init__()
        magnitude = frequencies(head_width // 4, base)
        turn = torch.rand(num_heads, 1) * 2 * math.pi
        axes = torch.cat([torch.zeros(len(magnitude)), torch.full((len(magnitude),), math.pi / 2)])
        where = turn + axes
        start = torch.stack([where.cos(), where.sin()]) * magnitude.repeat(2)
        self.frequencies = nn.Parameter(start)  # [x and y, heads, pairs]

    def forward(self, place: Place, device: torch.device) -> Float[Tensor, "one g p f"]:
        """Angles of every patch and head."""
        rows, columns = place.coordinates(device)[:, None, :, None, :].unbind(-1)
        along_x, along_y = upcast(self.frequencies)[:, None, :, None]
        return columns * along_x + rows * along_y
