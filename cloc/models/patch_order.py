"""Patches of prepared pictures in another order: what they show moves, their places stay."""

import torch
from jaxtyping import Int
from torch import Tensor

Grid = tuple[int, int]


def shuffle_patches(x: Tensor, grid: Grid, order: Int[Tensor, " p"]) -> Tensor:
    """`x` with patch `order[i]` at place i of the `grid`, row by row. Pixels [b, c, h, w], whose
    sides the grid divides, or a NaFlex embedder's [b, patches, 3 p p + 3], whose places stay."""
    rows, columns = grid
    if x.ndim == 3:
        moved = x.clone()
        moved[:, : rows * columns, :-3] = x[:, order, :-3]
        return moved
    b, c, height, width = x.shape
    cells = x.reshape(b, c, rows, height // rows, columns, width // columns)
    cells = cells.permute(2, 4, 0, 1, 3, 5).flatten(0, 1)[order].unflatten(0, grid)
    return cells.permute(2, 3, 0, 4, 1, 5).reshape(x.shape)


def random_order(grid: Grid, seed: int) -> Int[Tensor, " p"]:
    """Of the patches of a grid; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(grid[0] * grid[1], generator=generator)
