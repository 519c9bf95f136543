"""WhereBench: of two rendered pictures and two captions, which belongs to which? Needs no data."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.eval.control_pictures import blind, mirrored, permuted
from cloc.eval.encode import image_vectors, text_vectors
from cloc.eval.measured import Cases, Figures, Measured
from cloc.eval.metrics import TIE
from cloc.interfaces import Embedder, Example, Split
from cloc.scenes.wherebench.pair import Item
from cloc.scenes.wherebench.versions import VERSIONS, check

METRICS = ("text", "image", "group")
# For scores of which every order is as likely as another: two of two, and both true ones above
# both false ones in 4 of the 24 orders of four.
CHANCE = {"text": 1 / 2, "image": 1 / 2, "group": 1 / 6}


@dataclass(frozen=True, kw_only=True)
class WhereBench:
    """Share that is right of `pairs` items of each relation, in [0, 1]; ties count as wrong.

    {relation}_text: the true caption of a picture is strictly nearer than the other (chance 0.5).
    {relation}_image: the true picture of a caption is (0.5). {relation}_group: all four of an item
    are right (1/6). Without a relation: the mean over the relations, of the controls too.

    Beside them text_permuted and group_permuted (each picture with its `grid` x `grid` patches in
    an order drawn from `seed`), text_blind (a grey square: exactly 0.5 where no captions tie) and,
    over the items whose captions a mirror exchanges, text_mirrored: 0 for who reads them all.
    {relation}_image_bag is the line to beat where patches in no order tell the relation.

    `size` is the side of the pictures in pixels. The split is not looked at. Group scores are
    those of Winoground (arXiv 2204.03162).
    """

    uses_regions: ClassVar[bool] = False
    own_data: ClassVar[bool] = True
    pairs: int = 2000
    version: int = 1  # of the items: shapes on a plane; 2: solids under a camera
    size: int = 224
    batch_size: int = 64
    seed: int = 0
    grid: int = 8
    limit: int | None = None  # pairs of each relation

    def __post_init__(self) -> None:
        check(version=self.version, pairs=self.pairs, size=self.size)

    def run(self, embedder: Embedder, split: Split) -> Measured:
        [(_, nothing)] = image_vectors(embedder, [blind()], batch_size=1)
        version = VERSIONS[self.version]
        parts = {name: self._relation(embedder, name, nothing) for name in version.relations}
        cases, controls = {}, {}
        for relation, part in parts.items():
            cases.update({f"{relation}_{name}": found for name, found in part.cases.items()})
            controls.update({f"{relation}_{name}": x for name, x in part.controls.items()})
        for metric in METRICS:
            cases[metric] = _joined([part.cases[metric] for part in parts.values()])
        for control in ("text_permuted", "group_permuted", "text_blind", "text_mirrored"):
            found = [part.controls[control] for part in parts.values() if control in part.controls]
            controls.update({control: sum(found) / len(found)} if found else {})
        controls.update({f"{name}_image_bag": x for name, x in version.bag_of_patches.items()})
        chance = {name: CHANCE[name.rpartition("_")[2]] for name in cases}
        about = {"version": self.version, "pairs": self.pairs, "size": self.size, "ties": "wrong"}
        return Measured(Figures(cases=cases, chance=chance, controls=controls, about=about))

    def _relation(self, embedder: Embedder, relation: str, nothing: Float[Tensor, " d"]) -> Figures:
        """Of one relation, under names without it."""
        items = [
            VERSIONS[self.version].item(relation, number, size=self.size)
            for number in range(min(self.pairs, self.limit or self.pairs))
        ]
        texts = [caption for one in items for caption in one.captions]
        words, rows = text_vectors(embedder, texts, batch_size=self.batch_size)
        captions = words[rows].unflatten(0, (-1, 2))
        found = _right(self._pictures(embedder, _examples(items)), captions)
        shuffled = permuted(_examples(items), grid=self.grid, seed=self.seed)
        unordered = _right(self._pictures(embedder, shuffled), captions)
        unseen = _right(nothing.expand(len(items), 2, -1), captions)
        controls = {
            "text_permuted": _mean(unordered["text"]),
            "group_permuted": _mean(unordered["group"]),
            "text_blind": _mean(unseen["text"]),
        }
        swapped = [number for number, one in enumerate(items) if one.mirror_swaps]
        if swapped:
            turned = mirrored(_examples(items[number] for number in swapped))
            read = _right(self._pictures(embedder, turned), captions[swapped])
            controls["text_mirrored"] = _mean(read["text"])
        return Figures(cases=_cases(found, items), controls=controls)

    def _pictures(self, embedder: Embedder, examples: Iterable[Example]) -> Float[Tensor, "n 2 d"]:
        found = image_vectors(embedder, examples, batch_size=self.batch_size)
        return torch.stack([vector for _, vector in found]).unflatten(0, (-1, 2))


def _examples(items: Iterable[Item]) -> Iterator[Example]:
    return (example for one in items for example in one.examples)


def _right(
    pictures: Float[Tensor, "n 2 d"], captions: Float[Tensor, "n 2 d"]
) -> dict[str, Bool[Tensor, "n _"]]:
    """text: per picture; image: per caption; group: per item."""
    scores = pictures.double() @ captions.double().mT
    true = scores.diagonal(dim1=1, dim2=2)
    false = scores.flip(2).diagonal(dim1=1, dim2=2)  # of picture i and the other caption
    text, image = true - false > TIE, true - false.flip(1) > TIE
    return {"text": text, "image": image, "group": (text & image).all(1, keepdim=True)}


def _cases(right: dict[str, Bool[Tensor, "n _"]], items: Sequence[Item]) -> dict[str, Cases]:
    parts = {
        "text": ("-picture0", "-picture1"),
        "image": ("-caption0", "-caption1"),
        "group": ("",),
    }
    return {
        metric: Cases(
            values=right[metric].flatten().double(),
            names=[one.key + part for one in items for part in parts[metric]],
        )
        for metric in METRICS
    }


def _joined(parts: Sequence[Cases]) -> Cases:
    """All cases, each relation a class."""
    counts = torch.tensor([len(part.values) for part in parts])
    return Cases(
        values=torch.cat([part.values for part in parts]),
        names=[name for part in parts for name in part.names],
        classes=torch.arange(len(parts)).repeat_interleave(counts),
    )


def _mean(right: Bool[Tensor, "n _"]) -> float:
    return float(right.double().mean())
