"""An encoder whose patches are in another order: before it knows where they lie, or after.

Before: patches of its own frame are shuffled, so each is given the position of another. After:
tokens are shuffled when they are made, each with all it knows of its place. That moves only what is
read by the order of tokens, as regions are; the embedding of a whole picture does not change, by
construction, whether or not an encoder knows places.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cloc.errors import UserError
from cloc.eval.encoders.coca import CoCa
from cloc.eval.encoders.encoder import Encoder
from cloc.frame import height_and_width
from cloc.interfaces import Embedder, Prepared, tokens_of
from cloc.models.embedder import ModelEmbedder
from cloc.models.patch_order import Grid, random_order, shuffle_patches

BEFORE, AFTER = "patches", "tokens"  # of positions: what is shuffled
INSIDE = ("inner", "vision")  # what an encoder around another one calls it


class PermutedPatches:
    """`inner`, every picture of which has its patches in an order drawn from its own pixels."""

    def __init__(self, inner: Any, grid: Grid | None) -> None:
        self.inner, self.grid = inner, grid
        if hasattr(inner, "patches"):
            self.patches = self._patches

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        prepared: Prepared = self.inner.prepare(images, boxes)
        return prepared

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        found: Tensor = self.inner.images(self._shuffled(x))
        return found

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        found: Tensor = self.inner.texts(texts)
        return found

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return tokens_of(self.inner, texts)

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        found: Tensor = self.inner.regions(self._shuffled(x), boxes, valid)
        return found

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        found: list[Tensor] | None = self.inner.ground(self._shuffled(x), phrases)
        return found

    def _patches(self, x: Tensor, *, values: bool = False) -> tuple[Tensor, Grid]:
        found: tuple[Tensor, Grid] = self.inner.patches(self._shuffled(x), values=values)
        return found

    def _shuffled(self, x: Tensor) -> Tensor:
        moved = [shuffle_patches(one, *_order(one, self.grid)) for one in x.split(1)]
        return torch.cat(moved) if moved else x


class PermutedTokens:
    """`inner`, of every picture of which the tokens are in another order when they are read."""

    def __init__(self, inner: Any, base: Any, grid: Grid | None) -> None:
        self.inner, self.base, self.grid = inner, base, grid
        self.prepare, self.images, self.texts = inner.prepare, inner.images, inner.texts
        if hasattr(inner, "patches"):
            self.patches = self._patches

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return tokens_of(self.inner, texts)

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        with self._reordered():
            found: Tensor = self.inner.regions(x, boxes, valid)
        return found

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        with self._reordered():
            found: list[Tensor] | None = self.inner.ground(x, phrases)
        return found

    def _patches(self, x: Tensor, *, values: bool = False) -> tuple[Tensor, Grid]:
        tokens, grid = self.inner.patches(x, values=values)
        return self._moved(x, tokens), grid

    @contextmanager
    def _reordered(self) -> Iterator[None]:
        """While it lasts the region head reads tokens in another order."""
        self.base.reorder = self._moved
        try:
            yield
        finally:
            self.base.reorder = None

    def _moved(self, x: Tensor, tokens: Float[Tensor, "b p w"]) -> Float[Tensor, "b p w"]:
        orders = [_order(one, self.grid)[1] for one in x.split(1)]
        if not orders:
            return tokens
        rows = torch.stack(orders).to(tokens.device)[..., None]
        return tokens.gather(1, rows.expand(-1, -1, tokens.shape[2]))


def permuted(encoder: Encoder) -> Mapping[str, Embedder]:
    """Both, by what is shuffled. `UserError` for an encoder of which that cannot be done."""
    embedder: Any = encoder.embedder
    base = _base(embedder)
    grid = _grid(base, embedder, encoder.name)
    if encoder.has_regions and not hasattr(base, "reorder"):
        raise UserError(
            f"permuted=true: {encoder.name} makes regions of its own, whose tokens cannot be put "
            "in another order from outside; leave permuted=false"
        )
    return {
        BEFORE: PermutedPatches(embedder, grid),
        AFTER: PermutedTokens(embedder, base, grid),
    }


def _base(embedder: Any) -> Any:
    """What an encoder under autocast, or with the texts of another, is around."""
    while inner := next((getattr(embedder, n) for n in INSIDE if hasattr(embedder, n)), None):
        embedder = inner
    return embedder


def _grid(base: Any, embedder: Any, name: str) -> Grid | None:
    """Rows and columns of its frame; None where each picture has its own (NaFlex)."""
    if isinstance(base, ModelEmbedder):
        tower = base.model.tower
        sides = height_and_width(tower.image_size)
        if any(side % tower.step for side in sides):
            raise UserError(
                f"permuted=true: the last patches of {name} are partly padding at {sides[0]} x "
                f"{sides[1]} pixels; set image_size to a multiple of {tower.step}"
            )
        grid: Grid = tower.grid
        return grid
    if isinstance(base, CoCa):
        rows, columns = base.model.visual.grid_size
        return rows, columns
    black = embedder.prepare([PIL.Image.new("RGB", (64, 64))], [np.zeros((0, 4))]).images
    if _carries_places(black):
        return None
    look = getattr(base, "patch_tokens", None) or getattr(embedder, "patches", None)
    if look is None or black.ndim != 4:
        raise UserError(
            f"permuted=true: it is not known how {name} divides a picture; give it patches(x), "
            "which returns ([b, rows * columns, d], (rows, columns)) of pixels [b, 3, h, w]"
        )
    found: Grid = look(black)[1]
    if black.shape[1] != 3 or black.shape[2] % found[0] or black.shape[3] % found[1]:
        raise UserError(
            f"permuted=true: {found[0]} x {found[1]} patches do not divide the frame "
            f"{list(black.shape)} of {name}; it must be [b, 3, h, w], with sides they divide"
        )
    return found


def _carries_places(x: Tensor) -> bool:
    return x.ndim == 3


def _order(x: Tensor, grid: Grid | None) -> tuple[Grid, Int[Tensor, " p"]]:
    """Of the patches of one prepared picture [1, ...]: the same whenever it is shown."""
    if grid is None:
        rows, columns = x[0, 0, -2:].long().tolist()
        grid = (rows, columns)
    seed = zlib.crc32(x.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return grid, random_order(grid, seed)
