"""RMSNorm (arXiv 1910.07467) in float32, whatever autocast makes of what comes in."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cloc.numerics import upcast


class RMSNorm(nn.Module):
    """Of vectors of `width`; what comes out has the type of what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*b w"]) -> Float[Tensor, "*b w"]:
        own = upcast(x)
        return F.rms_norm(own, self.weight.shape, self.weight.to(own.dtype)).to(x.dtype)
