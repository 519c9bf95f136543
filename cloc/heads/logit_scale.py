"""The learnable temperature of the region logits, apart from the image-text one."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc import dist
from cloc.errors import UserError


class LogitScale(nn.Module):
    """exp of a learnable log: starts at `initial`, trained up to `maximum` (CLIP: 1/0.07, 100)."""

    def __init__(self, *, initial: float = 1 / 0.07, maximum: float = 100.0) -> None:
        super().__init__()
        if not 0 < initial <= maximum:
            raise UserError(
                f"model.region_scale.initial={initial}; choose above 0 and at most {maximum=}"
            )
        self.log_maximum = math.log(maximum)
        self.log_scale = nn.Parameter(torch.tensor(math.log(initial)))

    def forward(self) -> Float[Tensor, ""]:
        return dist.local(self.log_scale).exp()

    @torch.no_grad()
    def cap_scale(self) -> None:
        """After a step, where the scale is trained. The parameter and not its use: so its gradient
        stays alive at the cap."""
        if self.log_scale.requires_grad:
            dist.local(self.log_scale).clamp_(max=self.log_maximum)
