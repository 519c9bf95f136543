"""Where attention goes: how even it is, how far it reaches, how much class tokens get of it."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class Attention:
    """Of one layer, per head, over the queries of all patches of all pictures.

    entropy: of the shares over all keys (class tokens too), divided by the logarithm of their
    number: 1 where all are alike, 0 where one has all. distance: of a patch from the patches it
    attends to, in patches, weighted by their shares. on_prefix: the share of the tokens before the
    patches (class token, registers).
    """

    def __init__(self, grid: tuple[int, int], num_prefix: int) -> None:
        self.grid, self.num_prefix = grid, num_prefix
        self.far = distances(grid)
        self.queries = 0
        self.sums: Tensor | None = None  # [4, heads]: entropy, distance, on patches, on prefix

    def add(self, shares: Float[Tensor, "b h n n"]) -> None:
        """Of queries (first) and keys; what stands behind the patches is padding."""
        first, keys = self.num_prefix, self.num_prefix + len(self.far)
        rows = shares[:, :, first:keys, :keys].float()
        entropy = -torch.xlogy(rows, rows).sum((0, 2, 3), dtype=torch.float64)
        on_patches = rows[..., first:]
        far = self.far.to(rows)
        sums = torch.stack(
            [
                entropy / math.log(max(keys, 2)),
                (on_patches * far).sum((0, 2, 3), dtype=torch.float64),
                on_patches.sum((0, 2, 3), dtype=torch.float64),
                rows[..., :first].sum((0, 2, 3), dtype=torch.float64),
            ]
        ).cpu()
        self.sums = sums if self.sums is None else self.sums + sums
        self.queries += shares.shape[0] * len(self.far)

    def figures(self) -> dict[str, Any] | None:
        """Each with the mean over heads, the least and the greatest head, and all heads; None
        where nothing was added or there is a single patch. A head that puts nothing on patches has
        no distance (NaN), and is in no mean."""
        if self.sums is None or len(self.far) < 2:
            return None
        entropy, reach, on_patches, on_prefix = self.sums
        return {
            "entropy": _heads(entropy / self.queries),
            "distance": _heads(reach / on_patches.where(on_patches > 0, torch.nan)),
            "on_prefix": _heads(on_prefix / self.queries),
        }


def distances(grid: tuple[int, int]) -> Float[Tensor, "p p"]:
    """Of each patch from each, row by row, in patches."""
    rows, columns = grid
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    places = torch.stack([y, x], -1).reshape(-1, 2).float()
    return torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")


def uniform_distance(grid: tuple[int, int]) -> float:
    """That of attention which is the same everywhere: the line to read others against."""
    return float(distances(grid).mean())


def _heads(values: Float[Tensor, " h"]) -> dict[str, Any]:
    known = values[values.isfinite()]
    if not len(known):
        return {"mean": None, "low": None, "high": None, "heads": [None] * len(values)}
    heads = [x if math.isfinite(x) else None for x in values.tolist()]
    low, high = float(known.min()), float(known.max())
    return {"mean": float(known.mean()), "low": low, "high": high, "heads": heads}
