"""PIN (arXiv 2402.08657): a place of its own for every patch, the same for all pictures, added to
what a frozen encoder gives, so that a frozen language model can be asked for boxes."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc.errors import UserError

KEY = "decoder.pin"
HIDDEN = (512, 768)


class PIN(nn.Module):
    """`count` patches of `width` channels. A fixed sinusoid over the flattened index (`sinus1d`,
    the paper's), or over row and column of a square grid (`sinus2d`), or a table that is `learned`,
    goes through Linear, SiLU, LayerNorm twice and Linear. Of 1,024 channels and 64 of the sinusoid
    these are 1,217,280 weights. It never sees a picture: what depends on one is an adapter.
    """

    source: Tensor

    def __init__(
        self, count: int, width: int, *, kind: str = "sinus1d", channels: int = 64
    ) -> None:
        super().__init__()
        made = {"sinus1d": _line, "sinus2d": _grid, "learned": _random}.get(kind)
        if made is None:
            raise UserError(f"{KEY}.kind={kind}; choose sinus1d, sinus2d, learned")
        table = made(count, channels)
        if kind == "learned":
            self.source = nn.Parameter(table)
        else:
            self.register_buffer("source", table, persistent=False)
        first, second = HIDDEN
        self.layers = nn.Sequential(
            nn.Linear(channels, first),
            nn.SiLU(),
            nn.LayerNorm(first),
            nn.Linear(first, second),
            nn.SiLU(),
            nn.LayerNorm(second),
            nn.Linear(second, width),
        )

    def forward(self, patches: Float[Tensor, "b p w"]) -> Float[Tensor, "b p w"]:
        """`patches` with their places added. `UserError` where there are not as many."""
        if patches.shape[1] != len(self.source):
            raise UserError(
                f"PIN was made for {len(self.source)} patches and the picture has "
                f"{patches.shape[1]}; show pictures of the size that it was trained at"
            )
        places: Tensor = self.layers(self.source)
        return patches + places.to(patches.dtype)


def _line(count: int, channels: int) -> Float[Tensor, "p c"]:
    if channels % 2:
        raise UserError(f"{KEY}.channels={channels}; give an even number")
    own = 10_000.0 ** (-torch.arange(0, channels, 2, dtype=torch.float64) / channels)
    angles = torch.arange(count, dtype=torch.float64)[:, None] * own
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1).float()


def _grid(count: int, channels: int) -> Float[Tensor, "p c"]:
    side = round(count**0.5)
    if side * side != count or channels % 4:
        raise UserError(
            f"{KEY}.kind=sinus2d with {count} patches and channels={channels}; it is for square "
            "grids and a multiple of 4 channels, or take sinus1d"
        )
    line = _line(side, channels // 2)
    return torch.cat([line.repeat_interleave(side, 0), line.repeat(side, 1)], 1)


def _random(count: int, channels: int) -> Float[Tensor, "p c"]:
    return torch.randn(count, channels) * 0.02
