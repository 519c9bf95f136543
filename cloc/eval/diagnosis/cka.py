"""How alike two sets of tokens are: linear centred kernel alignment (arXiv 1905.00414)."""

import torch
from jaxtyping import Float
from torch import Tensor


class CKA:
    """Of rows of `x` with the same rows of `y`, in [0, 1]: 1 where one is the other turned, shifted
    and scaled. |Y'X|^2 / (|X'X| |Y'Y|) of centred columns, by Frobenius norms.

    It keeps three matrices of width by width in float64 and no row. Few rows (under ten times the
    width) raise it: unrelated features have about width / rows.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.start: tuple[Tensor, Tensor] | None = None  # taken off first: sums stay small
        self.products: list[Tensor] = []  # of x with x, y with y, y with x
        self.sums: list[Tensor] = []

    def add(self, x: Float[Tensor, "n w"], y: Float[Tensor, "n v"]) -> None:
        if self.start is None:
            self.start = x.mean(0), y.mean(0)
        x, y = x - self.start[0], y - self.start[1]
        products = [(a.mT @ b).double() for a, b in ((x, x), (y, y), (y, x))]
        sums = [a.sum(0, dtype=torch.float64) for a in (x, y)]
        if not self.rows:
            self.products, self.sums = products, sums
        else:
            for kept, new in zip([*self.products, *self.sums], [*products, *sums], strict=True):
                kept += new
        self.rows += len(x)

    def figure(self) -> float | None:
        """None where either does not vary."""
        if not self.rows:
            return None
        own, other = self.sums
        means = [torch.outer(a, b) / self.rows for a, b in ((own, own), (other, other))]
        means.append(torch.outer(other, own) / self.rows)
        xx, yy, yx = (p - m for p, m in zip(self.products, means, strict=True))
        sides = float(xx.norm() * yy.norm())
        floor = float(self.products[0].norm() * self.products[1].norm()) * 1e-12
        return None if not sides > floor else min(float(yx.square().sum()) / sides, 1.0)
