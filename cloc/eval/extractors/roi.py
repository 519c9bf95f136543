"""Region embeddings of any encoder with a grid of patches: RoIAlign over its patch tokens in the
joint space. The line a plain CLIP is measured on without any region head."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.errors import UserError
from cloc.heads.roi_align import pool_boxes
from cloc.interfaces import Embedder, HasPatches, Prepared, tokens_of
from cloc.models.inputs import check_regions

SAMPLES = 3  # a box is the mean of 6 x 6 bilinear points


def extractor(embedder: Embedder) -> "RoIEmbedder":
    """`UserError` for an encoder whose single patches have no embedding."""
    look_at_patches(embedder, "roi")
    return RoIEmbedder(embedder)


def look_at_patches(
    embedder: Any, name: str, *, values: bool = False
) -> tuple[Tensor, tuple[int, int]]:
    """Prepared pixels [...] of a black picture, and rows and columns of the encoder's patches;
    `UserError` that names the extractor where it gives none."""
    if not isinstance(embedder, HasPatches):
        raise UserError(
            f"{name}: this encoder has no patches(x), so no grid to look into; take one of crop, "
            "crop_context, blur, red_circle in extractors="
        )
    no_boxes = np.zeros((0, 4), np.float32)
    x = embedder.prepare([PIL.Image.new("RGB", (8, 8))], [no_boxes]).images  # type: ignore[attr-defined]
    try:
        _, grid = embedder.patches(x, values=values)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    return x[0], grid


class RoIEmbedder:
    """`inner` with regions pooled from its patches, or with `values` from those that its last
    attention does not mix; texts and whole images pass through, and it cannot ground.

    A box is cut at the frame before it gets here, so of a thing that the encoder's frame cuts only
    the part inside counts.
    """

    def __init__(self, inner: Any, *, values: bool = False) -> None:
        self.inner, self.values = inner, values

    def prepare(
        self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray] | None = None
    ) -> Prepared:
        prepared: Prepared = self.inner.prepare(images, boxes)
        return prepared

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        vectors: Tensor = self.inner.images(x)
        return vectors

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        vectors: Tensor = self.inner.texts(texts)
        return vectors

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return tokens_of(self.inner, texts)

    @torch.no_grad()
    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"] | None = None
    ) -> Float[Tensor, "b r d"]:
        """The mean patch inside each box."""
        tokens, grid = self.inner.patches(x, values=self.values)
        boxes, valid = check_regions(boxes, valid, len(tokens))
        if not len(tokens):
            return torch.zeros(*boxes.shape[:2], tokens.shape[2])
        # What padded slots hold is nobody's business, and of a NaN torchvision's kernel crashes.
        boxes = boxes.masked_fill(~valid[..., None], 0).to(tokens.device)
        pooled = pool_boxes(tokens, boxes, grid, SAMPLES)
        return F.normalize(pooled, dim=-1).cpu()

    def ground(self, x: Tensor, phrases: Sequence[Sequence[str]]) -> None:
        """RoIAlign has no answer to a phrase."""
        return None
