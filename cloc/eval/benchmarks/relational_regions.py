"""Of two look-alikes in an image, which one does a relational phrase mean?"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from cloc.boxes import iou
from cloc.eval.control_pictures import permuted
from cloc.eval.encode import grounded_boxes, region_vectors, same_texts, text_vectors
from cloc.eval.measured import Cases, Figures, Measured, cases_of
from cloc.eval.metrics import TIE
from cloc.interfaces import Embedder, Example, Split


@dataclass(frozen=True, kw_only=True)
class RelationalRegions:
    """Over the `meta["twins"]`, in [0, 1]: chance is 0.5, ties count as wrong.

    pick: share whose region is strictly nearer to the phrase than its look-alike. pick_permuted:
    the same with the patches of the image (`grid` x `grid`) in random order. What it keeps above
    chance of twins side by side was not read off the image: they lie on two sides of a third
    object, so of two given boxes the further left is "left of" it, whatever the picture shows.
    Depth and holding are seen in patches without their places, too. grounding_pick: share
    where the box grounded for the phrase overlaps its region strictly more (IoU) than the
    look-alike; left out where the embedder cannot ground. Twins whose phrases the embedder reads
    alike are left out.
    """

    uses_regions: ClassVar[bool] = True
    batch_size: int = 64
    seed: int = 0
    grid: int = 8

    def run(self, embedder: Embedder, split: Split) -> Measured:
        shuffled = permuted(_twinned(embedder, split), grid=self.grid, seed=self.seed)
        right = {
            "pick": self._picks(embedder, _twinned(embedder, split)),
            "pick_permuted": self._picks(embedder, shuffled),
            "grounding_pick": self._grounding_picks(embedder, _twinned(embedder, split)),
        }
        return Measured(Figures(cases=right, chance=dict.fromkeys(right, 0.5)))

    def _picks(self, embedder: Embedder, examples: Iterable[Example]) -> Cases:
        meant, other, phrases = [], [], []
        names: list[str] = []
        for example, regions in region_vectors(embedder, examples, batch_size=self.batch_size):
            for twin in example.meta["twins"]:
                names.append(f"{example.key}: {twin['phrase']}")
                meant.append(regions[twin["region"]])
                other.append(regions[twin["other"]])
                phrases.append(twin["phrase"])
        if not phrases:
            return cases_of(torch.zeros(0), [])
        words, rows = text_vectors(embedder, phrases, batch_size=self.batch_size)
        nearer = (torch.stack(meant).double() - torch.stack(other)) * words[rows]
        return cases_of(nearer.sum(1) > TIE, names)

    def _grounding_picks(self, embedder: Embedder, examples: Iterable[Example]) -> Cases:
        right: list[Tensor] = []
        names: list[str] = []
        for example, boxes, predicted in grounded_boxes(
            embedder, examples, phrases=_phrases, batch_size=self.batch_size
        ):
            twins = example.meta["twins"]
            meant = iou(predicted, boxes[[twin["region"] for twin in twins]])
            other = iou(predicted, boxes[[twin["other"] for twin in twins]])
            right.append(meant > other + TIE)
            names += [f"{example.key}: {twin['phrase']}" for twin in twins]
        return cases_of(torch.cat([torch.zeros(0), *right]), names)


def _phrases(example: Example) -> list[str]:
    return [twin["phrase"] for twin in example.meta["twins"]]


def _twinned(embedder: Embedder, split: Split) -> Iterator[Example]:
    """Examples with their twins, but for phrases that the embedder reads alike and that mean now
    the one and now the other region: what it cuts off is where they differ."""
    for example in split.examples:
        twins = example.meta.get("twins", [])
        rows, _ = same_texts(embedder, [twin["phrase"] for twin in twins])
        meant: dict[int, set[int]] = {}
        for row, twin in zip(rows, twins, strict=True):
            meant.setdefault(row, set()).add(twin["region"])
        told = [
            twin for row, twin in zip(rows, twins, strict=True) if twin["other"] not in meant[row]
        ]
        if told:
            yield example._replace(meta={**example.meta, "twins": told})
