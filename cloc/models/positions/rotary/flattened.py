"""1-D rotary positions over the flattened grid (RoFormer, arXiv 2104.09864): a step down is as many
positions as the grid has columns, so what was learned at one width is wrong at another."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc.models.positions.place import Place
from cloc.models.positions.rotary.rotate import frequencies


class Flattened(nn.Module):
    """`base` 10,000 as in language models."""

    multiple = 2  # of which the channels of a head must be one
    per_layer = False

    def __init__(self, head_width: int, num_heads: int, *, base: float = 10_000.0) -> None:
        super().__init__()
        self.count, self.base = head_width // 2, base

    def forward(self, place: Place, device: torch.device) -> Float[Tensor, "one g p f"]:
        """Angles of every patch, the same for all heads."""
        rows, columns = place.coordinates(device).unbind(-1)
        index = rows * place.columns + columns
        return (index[..., None] * frequencies(self.count, self.base, device=device))[:, None]
