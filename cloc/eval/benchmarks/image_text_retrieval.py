"""From an image to its captions among all captions of a split, and back."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from cloc.eval.encode import image_vectors, text_vectors, texts_of
from cloc.eval.measured import Measured, nothing
from cloc.eval.metrics import recalls
from cloc.interfaces import Embedder, Split


@dataclass(frozen=True, kw_only=True)
class ImageTextRetrieval:
    """Recall at each of `ks`, in [0, 1]; ties count against; images without a caption are left out.
    Captions that the embedder reads alike are one.

    i2t: share of images with at least one own caption among the top k of the unique captions.
    t2i: share of unique captions with at least one of their images among the top k.
    """

    uses_regions: ClassVar[bool] = False
    batch_size: int = 64
    ks: tuple[int, ...] = (1, 5, 10)

    def run(self, embedder: Embedder, split: Split) -> Measured:
        captioned = (example for example in split.examples if example.captions)
        vectors: list[Tensor] = []
        captions: list[str] = []
        owner: list[int] = []
        names: list[str] = []
        for example, vector in image_vectors(embedder, captioned, batch_size=self.batch_size):
            owner += [len(vectors)] * len(example.captions)
            captions += example.captions
            vectors.append(vector)
            names.append(example.key)
        if not vectors:
            return nothing()
        images = torch.stack(vectors)
        words, rows = text_vectors(embedder, captions, batch_size=self.batch_size)
        # An image may carry the same caption twice: that is one pair.
        pairs = torch.stack([torch.tensor(owner), rows], 1).unique(dim=0)
        asked = texts_of(captions, rows)
        there = recalls(images, words, pairs=pairs, name="i2t", ks=self.ks, names=names)
        back = recalls(words, images, pairs=pairs.flip(1), name="t2i", ks=self.ks, names=asked)
        return there | back
