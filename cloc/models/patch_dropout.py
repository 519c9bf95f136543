"""Patch dropout that remembers which tokens it kept, so that a box still finds its place."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc.errors import UserError


class PatchDropout(nn.Module):
    """In training every image keeps a random `1 - frac` of its patch tokens, in their order; all
    tokens in evaluation, and the `num_prefix` tokens before the patches always (arXiv 2212.00794).

    After a call, `kept` holds [b, k] the indices of the tokens that stayed, row by row of the grid;
    None where all did.
    """

    def __init__(self, frac: float, *, num_prefix: int) -> None:
        super().__init__()
        if not 0 < frac < 1:
            raise UserError(f"patch_dropout={frac}; choose 0 (off) to below 1, such as 0.5")
        self.frac, self.num_prefix = frac, num_prefix
        self.kept: Tensor | None = None

    def forward(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b m w"]:
        """At least one patch stays."""
        self.kept = None
        if not self.training:
            return x
        patches = x[:, self.num_prefix :]
        count = max(1, int(patches.shape[1] * (1 - self.frac)))
        # drawn on the device, from the generator that a replayed forward is given back
        order = torch.rand(patches.shape[:2], device=x.device).argsort(1)
        self.kept = order[:, :count].sort(1).values
        rows = self.kept[..., None].expand(-1, -1, x.shape[2])
        return torch.cat([x[:, : self.num_prefix], patches.gather(1, rows)], 1)
