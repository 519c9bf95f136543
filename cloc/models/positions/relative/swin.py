"""The table of Swin (arXiv 2103.14030): a bias per head for every offset of the grid; with class
token as BEiT (arXiv 2106.08254) has it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from cloc.models.positions.place import Place
from cloc.models.positions.relative.offsets import offsets, with_prefix
from cloc.models.positions.relative.relative import Relative, picked


class Swin(Relative):
    """(2 rows - 1)(2 columns - 1) offsets of the grid that it is made for, and three entries of
    pairs from, to and among tokens that stand nowhere. At another grid the table is resampled
    bicubically, as positions are."""

    def __init__(self, head_width: int, num_heads: int, *, grid: Sequence[int]) -> None:
        super().__init__()
        self.grid = (grid[0], grid[1])
        count = (2 * grid[0] - 1) * (2 * grid[1] - 1)
        self.table = nn.Parameter(torch.zeros(num_heads, count + 3))
        nn.init.trunc_normal_(self.table, std=0.02)

    def buckets(self, place: Place, device: torch.device) -> Int[Tensor, "k n n"]:
        """Rows of the table of this grid; its last three are from, to and among the prefix."""
        return grid_buckets(place, device)

    def bias(
        self, q: Float[Tensor, "b h n d"], k: Float[Tensor, "b h n d"], place: Place
    ) -> Float[Tensor, "one h n n"]:
        assert place.buckets is not None
        return picked(self.fitted(place.rows, place.columns).to(q.dtype), place.buckets[:, 0])

    def fitted(self, rows: int, columns: int) -> Float[Tensor, "h t"]:
        """The table of another grid."""
        if (rows, columns) == self.grid:
            return self.table
        return resampled(self.table, self.grid, (rows, columns))


def grid_buckets(place: Place, device: torch.device) -> Int[Tensor, "one n n"]:
    """(dy + rows - 1)(2 columns - 1) + dx + columns - 1 of the key from the query."""
    y, x = offsets(place.rows, place.columns, device)
    own = (y + place.rows - 1) * (2 * place.columns - 1) + x + place.columns - 1
    count, first = (2 * place.rows - 1) * (2 * place.columns - 1), place.num_prefix

    def nowhere(whole: Tensor) -> None:
        whole[:first] = count  # from the prefix to a patch
        whole[:, :first] = count + 1
        whole[:first, :first] = count + 2

    return with_prefix(own, first, nowhere)[None]


def resampled(
    table: Float[Tensor, "h t"], old: tuple[int, int], new: tuple[int, int]
) -> Float[Tensor, "h u"]:
    """Offsets of `old` rows and columns carried over to `new` ones; the last three entries stay."""
    sides = [2 * side - 1 for side in old]
    offsets_of = table[:, :-3].float().unflatten(1, sides)[None]
    size = [2 * side - 1 for side in new]
    scaled = F.interpolate(offsets_of, size=size, mode="bicubic", align_corners=False)[0]
    return torch.cat([scaled.flatten(1).to(table.dtype), table[:, -3:]], 1)
