"""From a box to its phrase among all phrases of a split, and back."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from cloc.eval.encode import region_vectors, text_vectors, texts_of
from cloc.eval.measured import Measured, nothing
from cloc.eval.metrics import recalls
from cloc.eval.pictures import case_names
from cloc.interfaces import Embedder, Split


@dataclass(frozen=True, kw_only=True)
class RegionRetrieval:
    """Recall at each of `ks`, in [0, 1]; ties count against; empty where no box exists.
    Phrases that the embedder reads alike are one.

    r2t: share of boxes whose phrase is among the top k of the unique phrases of the split.
    t2r: share of unique phrases with at least one of their boxes among the top k of all boxes.
    """

    uses_regions: ClassVar[bool] = True
    batch_size: int = 64
    ks: tuple[int, ...] = (1, 5, 10)

    def run(self, embedder: Embedder, split: Split) -> Measured:
        vectors: list[Tensor] = []
        phrases: list[str] = []
        names: list[str] = []
        for example, regions in region_vectors(
            embedder, split.examples, batch_size=self.batch_size
        ):
            vectors.append(regions)
            phrases += example.phrases
            names += case_names(example)
        if not vectors:
            return nothing()
        regions = torch.cat(vectors)
        words, rows = text_vectors(embedder, phrases, batch_size=self.batch_size)
        pairs = torch.stack([torch.arange(len(regions)), rows], 1)
        asked = texts_of(phrases, rows)
        there = recalls(regions, words, pairs=pairs, name="r2t", ks=self.ks, names=names)
        back = recalls(words, regions, pairs=pairs.flip(1), name="t2r", ks=self.ks, names=asked)
        return there | back
