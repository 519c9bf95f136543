"""DINOv3's rotary positions (arXiv 2508.10104): coordinates of the box in [-1, 1] whatever the
grid, and in training shifted, stretched and rescaled at random."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc.errors import UserError
from cloc.models.positions.place import Place
from cloc.models.positions.rotary.rotate import frequencies


class DINOv3(nn.Module):
    """Angle = 2 pi * coordinate * base^(-m / (f/2)); the first half of the pairs by the row, the
    second by the column. A patch's coordinate is its middle, mapped to [-1, 1] along each axis by
    itself (`separate`) or by the longer (`max`) or shorter (`min`) side of the grid.

    In training one draw per forward for all layers: `shift` s adds U(-s, s) to each axis; `jitter`
    j multiplies each axis by a factor log-uniform in [1/j, j]; `rescale` r both by one in
    [1/r, r].
    """

    multiple = 4
    per_layer = False

    def __init__(
        self,
        head_width: int,
        num_heads: int,
        *,
        base: float = 100.0,
        normalize: str = "separate",
        shift: float | None = None,
        jitter: float | None = None,
        rescale: float | None = None,
    ) -> None:
        super().__init__()
        if normalize not in ("separate", "max", "min"):
            raise UserError(
                f"normalize={normalize} of model.tower.positions.rotary; choose separate, max or "
                "min"
            )
        for name, value in (("jitter", jitter), ("rescale", rescale)):
            if value is not None and value < 1:
                raise UserError(
                    f"{name}={value} of model.tower.positions.rotary: a factor in [1/{name}, "
                    f"{name}] is drawn; give 1 or more, or null"
                )
        self.count, self.base, self.normalize = head_width // 4, base, normalize
        self.shift, self.jitter, self.rescale = shift, jitter, rescale

    def forward(self, place: Place, device: torch.device) -> Float[Tensor, "one g p f"]:
        """Angles of every patch, the same for all heads."""
        rows, columns = {
            "separate": (place.rows, place.columns),
            "max": (max(place.rows, place.columns),) * 2,
            "min": (min(place.rows, place.columns),) * 2,
        }[self.normalize]
        y, x = (2 * place.coordinates(device) + 1).unbind(-1)
        where = self._changed(torch.stack([y / rows - 1, x / columns - 1], -1))
        own = 2 * math.pi * frequencies(self.count, self.base, device=device)
        return (where[..., None] * own).flatten(-2)[:, None]

    def _changed(self, where: Float[Tensor, "one p two"]) -> Float[Tensor, "one p two"]:
        if not self.training:
            return where
        if self.shift is not None:
            where = where + _drawn(where, 2, -self.shift, self.shift)
        for factor, axes in ((self.jitter, 2), (self.rescale, 1)):
            if factor is not None:
                most = math.log(factor)
                where = where * _drawn(where, axes, -most, most).exp()
        return where


def _drawn(like: Tensor, count: int, low: float, high: float) -> Tensor:
    return torch.empty(count, device=like.device).uniform_(low, high)
