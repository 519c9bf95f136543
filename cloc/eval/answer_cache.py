"""Asks an embedder for the same thing once: benchmarks share regions, pictures and phrases."""

import hashlib
from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.interfaces import Embedder, Prepared, tokens_of


class Memo:
    """`inner` with its answers kept: texts by their words, pictures and regions by a digest.

    Only vectors are kept, never pixels. The weights of `inner` must not change while it lives.
    """

    def __init__(self, inner: Embedder) -> None:
        self.inner = inner
        self._texts: dict[str, Tensor] = {}
        self._tokens: dict[str, bytes] = {}
        self._pictures: dict[bytes, Tensor] = {}

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        return self.inner.prepare(images, boxes)

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        key = _digest(x)
        if key not in self._pictures:
            self._pictures[key] = self.inner.images(x).cpu()
        return self._pictures[key]

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            self._texts.update(zip(new, self.inner.texts(new).cpu(), strict=True))
        return torch.stack([self._texts[text] for text in texts])

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        new = [text for text in dict.fromkeys(texts) if text not in self._tokens]
        self._tokens.update(zip(new, tokens_of(self.inner, new), strict=True))
        return [self._tokens[text] for text in texts]

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        key = _digest(x, boxes, valid)
        if key not in self._pictures:
            self._pictures[key] = self.inner.regions(x, boxes, valid).cpu()
        return self._pictures[key]

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        return self.inner.ground(x, phrases)


def _digest(*tensors: Tensor) -> bytes:
    """Of the content and the shapes, so two equal batches share a key and no others do."""
    out = hashlib.blake2b()
    for tensor in tensors:
        out.update(f"{tuple(tensor.shape)} {tensor.dtype} ".encode())
        out.update(tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return out.digest()
