"""WhereBench, the look-alikes: of two equal shapes, which one does a relational phrase mean?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import PIL.Image
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.boxes import iou
from cloc.eval.control_pictures import mirrored, permuted
from cloc.eval.encode import grounded_boxes, region_vectors, text_vectors
from cloc.eval.measured import Cases, Figures, Measured
from cloc.eval.metrics import TIE
from cloc.interfaces import Embedder, Example, Split
from cloc.scenes.wherebench.pair import Item
from cloc.scenes.wherebench.versions import VERSIONS, check

CHANCE = {"pick": 1 / 2, "pair": 1 / 16, "ground_pick": 1 / 2}  # pair: four picks of two boxes


@dataclass(frozen=True, kw_only=True)
class WhereBenchLookAlikes:
    """Share that is right in items of two pictures and two phrases, in [0, 1]; ties count as wrong.
    Each phrase means the one of two equal things in one picture and the other in the other. Where
    the two candidate boxes are the same in both, boxes and phrases alone tell nothing.

    pick: the region a phrase means is strictly nearer to it than its look-alike (chance 0.5), and
    {relation}_pick of each relation alone. pair: all four picks of an item are right (1/16).
    ground_pick: the box grounded for a phrase overlaps its region strictly more (IoU) than the
    look-alike (0.5); left out where the embedder cannot ground.

    Beside them, also of each relation, pick_permuted (patches, `grid` x `grid`, in an order drawn
    from `seed`) and pick_blind (grey pictures), and {relation}_pick_mirrored where a mirror
    exchanges what is meant: 0 for who reads them all. `pairs` is the number of items, in version 2
    of each relation. `size` is the side of the pictures in pixels. The split is not looked at.
    """

    uses_regions: ClassVar[bool] = True
    own_data: ClassVar[bool] = True
    pairs: int = 2000
    version: int = 1  # of the items: shapes on a plane; 2: solids under a camera
    size: int = 224
    batch_size: int = 64
    seed: int = 0
    grid: int = 8
    limit: int | None = None  # of `pairs`

    def __post_init__(self) -> None:
        check(version=self.version, pairs=self.pairs, size=self.size)

    def run(self, embedder: Embedder, split: Split) -> Measured:
        pairs = min(self.pairs, self.limit or self.pairs)
        items = list(VERSIONS[self.version].look_alike_items(pairs, size=self.size))
        texts = [phrase for one in items for phrase in one.captions]
        words, rows = text_vectors(embedder, texts, batch_size=self.batch_size)
        phrases = words[rows].unflatten(0, (-1, 2))
        names = [f"{one.key}-picture{i}-phrase{j}" for one in items for i in (0, 1) for j in (0, 1)]
        right = self._picks(embedder, _examples(items), phrases)
        grounded = self._grounded(embedder, items)
        cases = {
            "pick": _cases(right.flatten(), names),
            "pair": _cases(right.flatten(1).all(1), [one.key for one in items]),
            "ground_pick": _cases(grounded, names[: len(grounded)]),
        }
        for relation, chosen in _of_relations(items).items():
            picks = chosen.repeat_interleave(4)
            cases[f"{relation}_pick"] = _cases(right.flatten(), names, picks)
        chance = {name: CHANCE[name if name in CHANCE else "pick"] for name in cases}
        controls = self._controls(embedder, items, phrases)
        about = {"version": self.version, "pairs": self.pairs, "size": self.size, "ties": "wrong"}
        return Measured(Figures(cases=cases, chance=chance, controls=controls, about=about))

    def _controls(
        self, embedder: Embedder, items: Sequence[Item], phrases: Float[Tensor, "n 2 d"]
    ) -> dict[str, float]:
        shuffled = permuted(_examples(items), grid=self.grid, seed=self.seed)
        found = {
            "permuted": self._picks(embedder, shuffled, phrases),
            "blind": self._picks(embedder, _grey(_examples(items)), phrases),
        }
        controls = {f"pick_{name}": _mean(right) for name, right in found.items()}
        turned = mirrored(_examples(one for one in items if one.mirror_swaps))
        swaps = torch.tensor([one.mirror_swaps for one in items])
        read = self._picks(embedder, turned, phrases[swaps]) if swaps.any() else None
        for relation, chosen in _of_relations(items).items():
            for name, right in found.items():
                controls[f"{relation}_pick_{name}"] = _mean(right[chosen])
            if read is not None and chosen[swaps].any():
                controls[f"{relation}_pick_mirrored"] = _mean(read[chosen[swaps]])
        return controls

    def _picks(
        self, embedder: Embedder, examples: Iterable[Example], phrases: Float[Tensor, "n 2 d"]
    ) -> Bool[Tensor, "n 2 2"]:
        """Of item, picture and phrase."""
        found = region_vectors(embedder, examples, batch_size=self.batch_size)
        regions = torch.stack([vectors for _, vectors in found]).unflatten(0, (-1, 2)).double()
        scores = regions @ phrases.double().mT[:, None]  # item, picture, box, phrase
        lead = scores[:, :, 0] - scores[:, :, 1]
        means_first = torch.tensor([[1, -1], [-1, 1]])  # of picture and phrase: box 0, or box 1
        return lead * means_first > TIE

    def _grounded(self, embedder: Embedder, items: Sequence[Item]) -> Bool[Tensor, " n"]:
        """Of item, picture and phrase; empty where the embedder cannot ground."""
        captions = {example.key: one.captions for one in items for example in one.examples}
        found = grounded_boxes(
            embedder,
            _examples(items),
            phrases=lambda example: captions[example.key],
            batch_size=self.batch_size,
        )
        right = []
        for example, boxes, predicted in found:
            meant = boxes if captions[example.key] == example.phrases else boxes.flip(0)
            right.append(iou(predicted, meant) > iou(predicted, meant.flip(0)) + TIE)
        return torch.cat(right) if right else torch.zeros(0, dtype=torch.bool)


def _examples(items: Iterable[Item]) -> Iterator[Example]:
    return (example for one in items for example in one.examples)


def _of_relations(items: Sequence[Item]) -> dict[str, Bool[Tensor, " n"]]:
    """Which items are of a relation."""
    names = dict.fromkeys(one.relation for one in items)
    return {name: torch.tensor([one.relation == name for one in items]) for name in names}


def _grey(examples: Iterable[Example]) -> Iterator[Example]:
    """The candidate boxes alone, in pictures of one grey."""
    for example in examples:
        grey = PIL.Image.new("RGB", example.image.size, (128, 128, 128))
        yield example._replace(image=grey, digest=b"")


def _cases(
    right: Bool[Tensor, " n"], names: Sequence[str], chosen: Bool[Tensor, " n"] | None = None
) -> Cases:
    rows = range(len(names)) if chosen is None else chosen.nonzero().flatten().tolist()
    return Cases(values=right[list(rows)].double(), names=[names[row] for row in rows])


def _mean(right: Bool[Tensor, "n 2 2"]) -> float:
    return float(right.double().mean())
