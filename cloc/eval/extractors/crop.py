"""Region embeddings of any encoder: every box is cut from the original pixels and embedded alone.

This is how a plain CLIP is measured on the same boxes.
"""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.data.samples.orientation import upright
from cloc.interfaces import Embedder, Prepared, tokens_of


class CropEmbedder:
    """`inner` with regions by cropping; it cannot ground, texts and whole images pass through.

    Prepared images are [b, 1 + r, ...]: the whole image, then its crops, black in padded slots.
    `batch_size` bounds how many crops `inner` embeds at a time.
    """

    def __init__(self, inner: Embedder, *, batch_size: int = 64) -> None:
        self.inner = inner
        self.batch_size = batch_size

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        images = list(map(upright, images))
        whole = self.inner.prepare(images, boxes)
        black = self._pixels([PIL.Image.new("RGB", (1, 1))])
        slots = 1 + whole.valid.shape[1]
        x = black[:, None].repeat(len(images), slots, *[1] * (black.ndim - 1))
        x[:, 0] = whole.images
        crops = [crop(image, box) for image, own in zip(images, boxes, strict=True) for box in own]
        if crops:
            x[:, 1:][whole.valid.to(x.device)] = self._pixels(crops)
        return whole._replace(images=x)

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        return self.inner.images(x[:, 0])

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return self.inner.texts(texts)

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return tokens_of(self.inner, texts)

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        """Only valid crops are encoded; padded slots are zero. `boxes` were cut by `prepare`."""
        crops = x[:, 1:][valid.to(x.device)]
        # Without a crop the width of the embedding is learned from a whole image.
        parts = [self.inner.images(part) for part in crops.split(self.batch_size) if len(part)]
        vectors = torch.cat(parts) if parts else self.images(x[:1])[:0]
        out = vectors.new_zeros(*valid.shape, vectors.shape[1])
        out[valid.to(out.device)] = vectors
        return out

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        return None

    def _pixels(self, images: Sequence[PIL.Image.Image]) -> Tensor:
        no_boxes = np.zeros((0, 4), np.float32)
        return self.inner.prepare(images, [no_boxes] * len(images)).images


def crop(image: PIL.Image.Image, box: np.ndarray) -> PIL.Image.Image:
    """The pixels of `box` (x0, y0, x1, y1) rounded and cut at the border, at least 1 x 1."""
    low_x, low_y, high_x, high_y = box.tolist()
    x0, x1 = _span(low_x, high_x, image.width)
    y0, y1 = _span(low_y, high_y, image.height)
    return image.crop((x0, y0, x1, y1))


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    first = min(max(round(low), 0), size - 1)
    return first, max(min(round(high), size), first + 1)
