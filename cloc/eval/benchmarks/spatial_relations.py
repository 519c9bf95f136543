"""Does the image embedding tell a relation ("left of") from the same caption with it flipped?"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.eval.control_pictures import blind, permuted
from cloc.eval.encode import image_vectors, same_texts, text_vectors
from cloc.eval.measured import Figures, Measured, cases_of, nothing
from cloc.eval.metrics import rank_of_match
from cloc.interfaces import Embedder, Example, Split


@dataclass(frozen=True, kw_only=True)
class SpatialRelations:
    """Share of the `meta["relations"]` whose true caption is strictly nearer, in [0, 1].

    Ties count as wrong; which of the two captions comes first is drawn from `seed`. Two controls
    must fall to chance where places decide: accuracy_permuted looks at the image with its patches
    (`grid` x `grid`) in random order, accuracy_blind at a grey square. Empty without relations; one
    whose two captions the embedder reads alike is left out, and a warning counts them.
    """

    uses_regions: ClassVar[bool] = False
    batch_size: int = 64
    seed: int = 0
    grid: int = 8

    def run(self, embedder: Embedder, split: Split) -> Measured:
        vectors: list[Tensor] = []
        owner: list[int] = []
        relations: list[Mapping[str, str]] = []
        names: list[str] = []
        alike = 0
        for example, vector in image_vectors(embedder, _related(split), batch_size=self.batch_size):
            told = [x for x in example.meta["relations"] if _is_told(embedder, x)]
            alike += len(example.meta["relations"]) - len(told)
            owner += [len(vectors)] * len(told)
            relations += told
            names += [f"{example.key}: {x['caption']}" for x in told]
            vectors.append(vector)
        if alike:
            warnings.warn(
                f"split {split.name!r}: {alike} relations are left out, since the text tower reads "
                "their two captions alike",
                stacklevel=2,
            )
        if not relations:
            return nothing()
        shuffled = permuted(_related(split), grid=self.grid, seed=self.seed)
        [(_, grey)] = image_vectors(embedder, [blind()], batch_size=1)
        views = {
            "accuracy": torch.stack(vectors)[owner],
            "accuracy_permuted": self._images(embedder, shuffled)[owner],
            "accuracy_blind": grey.expand(len(owner), -1),
        }
        options, true = self._options(embedder, relations)
        scores = {
            name: (options @ view.double()[:, :, None])[..., 0] for name, view in views.items()
        }
        right = {k: cases_of(rank_of_match(x, true) == 0, names) for k, x in scores.items()}
        return Measured(Figures(cases=right, chance=dict.fromkeys(views, 0.5)))

    def _images(self, embedder: Embedder, examples: Iterator[Example]) -> Float[Tensor, "n d"]:
        found = image_vectors(embedder, examples, batch_size=self.batch_size)
        return torch.stack([vector for _, vector in found])

    def _options(
        self, embedder: Embedder, relations: Sequence[Mapping[str, str]]
    ) -> tuple[Float[Tensor, "n 2 d"], Bool[Tensor, "n 2"]]:
        """Both captions of every relation in a drawn order, and which of them is true.

        They are encoded in that order too, so an embedder cannot win by where a text stands.
        """
        flip = np.random.default_rng(self.seed).random(len(relations)) < 0.5
        texts: list[str] = []
        for relation, flipped_first in zip(relations, flip, strict=True):
            pair = [relation["caption"], relation["flipped"]]
            texts += reversed(pair) if flipped_first else pair
        words, rows = text_vectors(embedder, texts, batch_size=self.batch_size)
        true = F.one_hot(torch.from_numpy(flip).long(), 2).bool()
        return words[rows].unflatten(0, (-1, 2)).double(), true


def _is_told(embedder: Embedder, relation: Mapping[str, str]) -> bool:
    """Whether the embedder reads a difference between the captions, which may be in what it cuts
    off or does not read."""
    rows, _ = same_texts(embedder, [relation["caption"], relation["flipped"]])
    return rows[0] != rows[1]


def _related(split: Split) -> Iterator[Example]:
    return (example for example in split.examples if example.meta.get("relations"))
