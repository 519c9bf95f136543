"""The continuous bias of Swin V2 (arXiv 2111.09883): a small network of the offset on a logarithmic
scale, so that it has an answer for grids it was not trained on."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from cloc.models.positions.place import Place
from cloc.models.positions.relative.relative import Relative, picked
from cloc.models.positions.relative.swin import grid_buckets

HIGHEST = 8  # offsets of the grid that it is made for are scaled to [-8, 8] before the logarithm


class SwinV2(Relative):
    """Bias = 16 sigmoid(MLP(log-spaced dy, dx)) - 8, per head (section 3.3; the constant takes it
    to zero where the last layer is, and changes no softmax among patches). Pairs with a token that
    stands nowhere have 0."""

    begins_at_zero = ("last.",)

    def __init__(
        self, head_width: int, num_heads: int, *, grid: Sequence[int], hidden: int = 512
    ) -> None:
        super().__init__()
        self.grid = (grid[0], grid[1])
        self.first, self.last = nn.Linear(2, hidden), nn.Linear(hidden, num_heads, bias=False)

    def buckets(self, place: Place, device: torch.device) -> Int[Tensor, "k n n"]:
        """As Swin's."""
        return grid_buckets(place, device)

    def bias(
        self, q: Float[Tensor, "b h n d"], k: Float[Tensor, "b h n d"], place: Place
    ) -> Float[Tensor, "one h n n"]:
        assert place.buckets is not None
        table = self.last(F.relu(self.first(self.spaced(place, q.device)))).float()
        own = 16 * table.sigmoid().T - 8
        whole = torch.cat([own, own.new_zeros(len(own), 3)], 1)
        return picked(whole.to(q.dtype), place.buckets[:, 0])

    def spaced(self, place: Place, device: torch.device) -> Float[Tensor, "t two"]:
        """Of every offset sign(x) log2(1 + |x|) / log2(8), x = 8 offset / (side - 1) with the sides
        of the grid that it was made for (equation 4)."""
        axes = []
        for side, made_for in zip((place.rows, place.columns), self.grid, strict=True):
            own = torch.arange(1 - side, side, device=device).float()
            scaled = own * HIGHEST / max(made_for - 1, 1)
            axes.append(scaled.sign() * (scaled.abs() + 1).log2() / math.log2(HIGHEST))
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 1)
