"""Region embeddings of any encoder as ReCLIP scores a box: its crop and its blurred picture, summed
(arXiv 2204.05991)."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.eval.extractors import blur, crop
from cloc.interfaces import Embedder, Prepared, tokens_of


def extractor(embedder: Embedder) -> "CropBlurEmbedder":
    """Works on every encoder."""
    return CropBlurEmbedder(embedder)


class CropBlurEmbedder:
    """`inner` at twice its width: of a region its crop and its blurred picture, of everything else
    the same vector twice, all divided by the square root of 2.

    So vectors stay unit length, a region's score with a text is the mean of the two scores (their
    order is that of ReCLIP's sum), and whole images and texts score as they did. It cannot ground.
    Prepared images are [b, 1 + 2r, ...]: the whole image, the crops, the blurred pictures.
    """

    pictures_per_box = 2

    def __init__(self, inner: Embedder) -> None:
        self.inner = inner
        self.crop, self.blur = crop.extractor(inner), blur.extractor(inner)

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        crops, blurred = self.crop.prepare(images, boxes), self.blur.prepare(images, boxes)
        return crops._replace(images=torch.cat([crops.images, blurred.images[:, 1:]], 1))

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        return _side_by_side(*[self.crop.images(x)] * 2)

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return _side_by_side(*[self.inner.texts(texts)] * 2)

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return tokens_of(self.inner, texts)

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        """Only valid regions are encoded; padded slots are zero."""
        slots = valid.shape[1]
        blurred = torch.cat([x[:, :1], x[:, 1 + slots :]], 1)
        return _side_by_side(
            self.crop.regions(x[:, : 1 + slots], boxes, valid),
            self.blur.regions(blurred, boxes, valid),
        )

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        return None


def _side_by_side(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first, second], -1) / 2**0.5
