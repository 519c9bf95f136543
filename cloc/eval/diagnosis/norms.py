"""How long tokens are: their L2 norms, as quantiles and outliers, without keeping the tokens."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cloc.errors import UserError

PER_DOUBLING = 64  # bins of equal ratio
LEAST, DOUBLINGS = -30, 60  # the lowest edge as a power of 2, and how far up bins reach
QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
OUTLIER = 4.0  # times the median


class Norms:
    """Of the tokens of one layer. Mean, least and greatest are exact; quantiles are of bins of
    equal ratio and off by 0.6 % at most, for norms of 1e-9 to 1e9."""

    def __init__(self) -> None:
        self.bins = torch.zeros(PER_DOUBLING * DOUBLINGS, dtype=torch.float64)
        self.count, self.sum = 0, 0.0
        self.least, self.greatest = float("inf"), 0.0

    def add(self, tokens: Float[Tensor, "*n w"]) -> None:
        """`UserError` for a token that is not finite."""
        norms = tokens.double().norm(dim=-1).flatten().cpu()
        if not norms.numel():
            return
        if not norms.isfinite().all():
            raise UserError(
                "a token of this encoder is not finite, so it cannot be diagnosed; take an earlier "
                "checkpoint, or train again with a lower optimizer.lr"
            )
        self.bins += torch.bincount(self._places(norms), minlength=len(self.bins))
        self.count += norms.numel()
        self.sum += float(norms.sum())
        self.least = min(self.least, float(norms.min()))
        self.greatest = max(self.greatest, float(norms.max()))

    def quantile(self, share: float) -> float:
        """The norm that this share of the tokens is at most as long as."""
        above = self.bins.cumsum(0) >= share * self.count
        place = int(above.float().argmax())
        middle: float = 2.0 ** (LEAST + (place + 0.5) / PER_DOUBLING)
        return min(max(middle, self.least), self.greatest)

    def share_above(self, limit: float) -> float:
        """Of tokens that are longer, by a bin or more."""
        place = int(self._places(torch.tensor([limit], dtype=torch.float64)))
        return float(self.bins[place + 1 :].sum()) / self.count

    def _places(self, norms: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
        logarithms = norms.clamp(min=2.0**LEAST).log2() - LEAST
        return (logarithms * PER_DOUBLING).long().clamp(max=len(self.bins) - 1)

    def figures(self) -> dict[str, Any] | None:
        """`outliers` is the share of tokens longer than `OUTLIER` times the median; None without a
        token."""
        if not self.count:
            return None
        found: dict[str, Any] = {"mean": self.sum / self.count, "min": self.least}
        found |= {name: self.quantile(share) for name, share in QUANTILES.items()}
        outliers = self.share_above(OUTLIER * found["p50"])
        return {**found, "max": self.greatest, "outliers": outliers, "tokens": self.count}
