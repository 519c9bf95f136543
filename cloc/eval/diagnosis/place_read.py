"""How well a linear map reads from a token where in the picture it lies."""

import torch
from jaxtyping import Float
from torch import Tensor

SIDES = ("row", "column")
HALVES = 2
TOKENS_A_CHANNEL = 2  # to fit on, at least: fewer are learned by heart


class PlaceRead:
    """R2 of the row and of the column of a token's place, by least squares over its channels and a
    constant: 1 where the map tells it exactly, 0 where it knows no more than the middle, below that
    where it misleads. It is fitted on every other picture and told of those between.

    It keeps two matrices of width by width in float64 and no token.
    """

    def __init__(self) -> None:
        self.pictures = 0
        self.start: Tensor | None = None  # taken off first: sums stay small
        self.squares: list[Tensor] = []  # of each half, of channels and a constant
        self.mixed: list[Tensor] = []  # these with row and column
        self.places: Tensor | None = None  # [p 2], of mean 0
        self.counts = [0, 0]  # pictures of each half

    def add(self, tokens: Float[Tensor, "b p w"], grid: tuple[int, int]) -> None:
        """Of pictures that have the same places, row by row of the grid."""
        if self.start is None or self.places is None:
            self.start, self.places = tokens.mean((0, 1)), _places(grid).to(tokens.device)
            width = tokens.shape[2] + 1
            self.squares = [tokens.new_zeros(width, width).double() for _ in range(HALVES)]
            self.mixed = [tokens.new_zeros(width, 2).double() for _ in range(HALVES)]
        x = torch.cat([tokens - self.start, torch.ones_like(tokens[..., :1])], -1)
        for half in range(HALVES):
            own = x[(self.pictures + half) % HALVES :: HALVES]
            rows = own.flatten(0, 1)
            self.squares[half] += (rows.mT @ rows).double()
            self.mixed[half] += own.sum(0, dtype=torch.float64).mT @ self.places
            self.counts[half] += len(own)
        self.pictures += len(tokens)

    def figures(self) -> dict[str, float | None] | None:
        """By `SIDES`, None of a side with a single place; None where there are fewer than two
        tokens to fit on for each channel."""
        if self.places is None or self.start is None:
            return None
        number = len(self.places)
        if self.counts[0] * number < TOKENS_A_CHANNEL * len(self.start) or not self.counts[1]:
            return None
        own = torch.linalg.pinv(self.squares[0], hermitian=True) @ self.mixed[0]
        wrong = (own * (self.squares[1] @ own - 2 * self.mixed[1])).sum(0)
        all_squares = self.counts[1] * self.places.square().sum(0)
        found = -wrong / all_squares
        return {
            side: float(value) if squares else None
            for side, value, squares in zip(SIDES, found, all_squares, strict=True)
        }


def _places(grid: tuple[int, int]) -> Float[Tensor, "p 2"]:
    rows, columns = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2 for side in grid)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).flatten(0, 1)
