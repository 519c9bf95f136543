"""Shaw et al. (NAACL 2018, arXiv 1803.02155) in two dimensions: a vector per offset, clipped, added
to the keys and to the values."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cloc.errors import UserError
from cloc.models.positions.place import Place
from cloc.models.positions.relative.offsets import offsets, with_prefix
from cloc.models.positions.relative.relative import Relative, asked, summed


class Shaw(Relative):
    """e_ij = q_i (k_j + a^K_ij) / sqrt(d), z_i = sum_j share_ij (v_j + a^V_ij) (equations 3 and 4);
    offsets beyond `reach` rows or columns count as `reach`. All heads share the tables; pairs with
    a token that stands nowhere have one entry."""

    on_values = True

    def __init__(self, head_width: int, num_heads: int, *, reach: int = 8) -> None:
        super().__init__()
        if reach < 1:
            raise UserError(f"reach={reach} of model.tower.positions.relative; give 1 or more")
        self.reach, self.num_buckets = reach, (2 * reach + 1) ** 2
        shape = (1, head_width, self.num_buckets + 1)
        self.keys, self.of_values = (nn.Parameter(torch.zeros(shape)) for _ in range(2))
        for table in (self.keys, self.of_values):
            nn.init.xavier_uniform_(table[0])

    def buckets(self, place: Place, device: torch.device) -> Int[Tensor, "k n n"]:
        """The last bucket is that of tokens that stand nowhere."""
        y, x = offsets(place.rows, place.columns, device).clamp(-self.reach, self.reach)
        own = (y + self.reach) * (2 * self.reach + 1) + x + self.reach

        def nowhere(whole: Tensor) -> None:
            whole[: place.num_prefix] = whole[:, : place.num_prefix] = self.num_buckets

        return with_prefix(own, place.num_prefix, nowhere)[None]

    def bias(
        self, q: Float[Tensor, "b h n d"], k: Float[Tensor, "b h n d"], place: Place
    ) -> Float[Tensor, "one h n n"]:
        assert place.buckets is not None
        return asked(q * q.shape[-1] ** -0.5, self.keys, place.buckets[:, 0])

    def values(self, shares: Float[Tensor, "b h n n"], place: Place) -> Float[Tensor, "b h n d"]:
        assert place.buckets is not None
        return summed(shares, self.of_values, place.buckets[:, 0])
