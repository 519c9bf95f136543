"""Axial rotary positions: half of the channel pairs turn with the column, half with the row
(Heo et al., ECCV 2024, arXiv 2403.13298; EVA-02)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc.models.positions.place import Place
from cloc.models.positions.rotary.rotate import frequencies


class Axial(nn.Module):
    """Pairs 0 to f/2 - 1 turn by column * base^(-m / (f/2)), the others by the row. `base` 100 for
    grids of some tens of patches."""

    multiple = 4
    per_layer = False

    def __init__(self, head_width: int, num_heads: int, *, base: float = 100.0) -> None:
        super().__init__()
        self.count, self.base = head_width // 4, base

    def forward(self, place: Place, device: torch.device) -> Float[Tensor, "one g p f"]:
        """Angles of every patch, the same for all heads."""
        rows, columns = place.coordinates(device).unbind(-1)
        own = frequencies(self.count, self.base, device=device)
        return torch.cat([columns[..., None] * own, rows[..., None] * own], -1)[:, None]
