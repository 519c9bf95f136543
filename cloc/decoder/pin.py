"""PIN (arXiv 2402.08657): a place of its own for every patch, the same for all pictures, added to
what a frozen encoder gives, so that a frozen language model can be asked for boxes."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc.errors import UserError

KEY = "decoder.pin"
HIDDEN = (512, 768)
MULTIPLES = {"sinus1d": 2, "sinus2d": 4, "learned": 1}  # kind: of channels


class PIN(nn.Module):
    """For a `grid` of so many rows and columns of patches of `width` channels. A fixed sinusoid
    over the flattened index (`sinus1d`, the paper's), or over row and column (`sinus2d`), or a
    table that is `learned`, goes through Linear, SiLU, LayerNorm twice and Linear. Of 1,024
    channels and 64 of the sinusoid these are 1,217,280 weights. It never sees a picture: what
    depends on one is an adapter.
    """

    source: Tensor

    def __init__(
        self, grid: tuple[int, int], width: int, *, kind: str = "sinus1d", channels: int = 64
    ) -> None:
        super().__init__()
        if kind not in MULTIPLES:
            raise UserError(f"{KEY}.kind={kind}; choose {', '.join(MULTIPLES)}")
        if channels < 1 or channels % MULTIPLES[kind]:
            raise UserError(
                f"{KEY}.channels={channels} of kind={kind}; give a multiple of {MULTIPLES[kind]}"
            )
        self.grid = grid
        table = {"sinus1d": _line, "sinus2d": _grid, "learned": _random}[kind](grid, channels)
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

    def forward(
        self, patches: Float[Tensor, "b p w"], grid: tuple[int, int]
    ) -> Float[Tensor, "b p w"]:
        """`patches` with their places added. `UserError` where they lie on another grid."""
        if grid != self.grid:
            own, other = (" x ".join(map(str, sides)) for sides in (self.grid, grid))
            raise UserError(
                f"PIN was made for {own} patches and the picture has {other}; show pictures of the "
                "size that it was trained at"
            )
        places: Tensor = self.layers(self.source)
        return patches + places.to(patches.dtype)


def _line(grid: tuple[int, int], channels: int) -> Float[Tensor, "p c"]:
    own = 10_000.0 ** (-torch.arange(0, channels, 2, dtype=torch.float64) / channels)
    angles = torch.arange(grid[0] * grid[1], dtype=torch.float64)[:, None] * own
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1).float()


def _grid(grid: tuple[int, int], channels: int) -> Float[Tensor, "p c"]:
    rows, columns = grid
    down, across = (_line((1, side), channels // 2) for side in grid)
    return torch.cat([down.repeat_interleave(columns, 0), across.repeat(rows, 1)], 1)


def _random(grid: tuple[int, int], channels: int) -> Float[Tensor, "p c"]:
    return torch.randn(grid[0] * grid[1], channels) * 0.02
