"""The pointing game: is the place that is most like a phrase inside its box?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from cloc.eval.encode import batches, region_vectors, same_texts, text_vectors
from cloc.eval.measured import Cases, Figures, Measured
from cloc.eval.metrics import rank_of_match, similarity
from cloc.interfaces import Embedder, Example, Split

CHUNK = 256  # pictures whose heat maps are held at a time


@dataclass(frozen=True, kw_only=True)
class Pointing:
    """The share of phrases whose heat map is highest inside one of the phrase's boxes, in [0, 1]; a
    query is a unique phrase of a picture (Zhang et al., arXiv 1608.00507).

    The heat map is that of regions, as `cloc.models.show` draws it, so it needs no patches and goes
    with every extractor: the cosine of the phrase with the embedding of a box, three cells wide,
    around the middle of each of `cells` x `cells` cells of the picture; the point is the middle of
    the best cell. Where a cell outside is as high as the best inside, that is a miss, and so is a
    box without the middle of a cell: `acc_ceiling` is the share that can be hit at all.
    `acc_random_point`: of a random cell; `acc_centre_point`: of the middle of the picture;
    `acc_chance` is the better of the two. Each picture costs cells^2 regions.
    """

    uses_regions: ClassVar[bool] = True
    own_data: ClassVar[bool] = False
    cells: int = 12
    batch_size: int = 16

    def run(self, embedder: Embedder, split: Split) -> Measured:
        asked = [example for example in split.examples if any(example.phrases)]
        right: list[float] = []
        names: list[str] = []
        shares: list[float] = []
        centres: list[bool] = []
        for part in batches(asked, size=CHUNK):
            gridded = [_gridded(example, self.cells, i) for i, example in enumerate(part)]
            for grid, regions in region_vectors(embedder, gridded, batch_size=self.batch_size):
                example, size = part[grid.meta["place"]], grid.meta["size"]
                rows, first = same_texts(embedder, example.phrases)
                queries = [i for i in range(len(first)) if example.phrases[first[i]]]
                phrases = [example.phrases[first[i]] for i in queries]
                own = [example.boxes[np.array(rows) == i] for i in queries]
                inside = torch.stack([_inside(_middles(self.cells, size), b) for b in own])
                words, order = text_vectors(embedder, phrases, batch_size=self.batch_size)
                ranks = rank_of_match(similarity(words[order], regions), inside)
                right += (ranks == 0).double().tolist()
                shares += inside.double().mean(1).tolist()
                centres += [bool(_inside(np.array([size]) / 2, b).any()) for b in own]
                names += [f"{example.key}:{first[i]}" for i in queries]
        if not names:
            return Measured(Figures())
        cases = {"acc": Cases(values=torch.tensor(right, dtype=torch.float64), names=names)}
        lines = _lines(shares, centres)
        chance = {"acc": max(lines["acc_random_point"], lines["acc_centre_point"])}
        about = {"heat_map": f"regions around {self.cells} x {self.cells} places"}
        return Measured(Figures(cases=cases, chance=chance, controls=lines, about=about))


def _lines(shares: Sequence[float], centres: Sequence[bool]) -> dict[str, float]:
    share = torch.tensor(shares, dtype=torch.float64)
    return {
        "acc_random_point": float(share.mean()),
        "acc_centre_point": float(torch.tensor(centres).double().mean()),
        "acc_ceiling": float((share > 0).double().mean()),
    }


def _gridded(example: Example, cells: int, place: int) -> Example:
    """The picture with a box around each cell; answers about them are too many to be kept."""
    size = example.size or example.image.size
    reach = np.array(size) * 1.5 / cells
    middles = _middles(cells, size)
    boxes = np.concatenate([middles - reach, middles + reach], 1).clip(0, [*size, *size])
    words = ("",) * len(boxes)
    return Example(
        example.key,
        example[1],
        (),
        boxes.astype(np.float32),
        words,
        words,
        {"place": place, "size": size},
        size=size,
    )


def _middles(cells: int, size: tuple[int, int]) -> np.ndarray:
    """[cells^2 2] pixels (x, y), row by row."""
    y, x = np.meshgrid(*[(np.arange(cells) + 0.5) / cells] * 2, indexing="ij")
    return np.stack([x, y], -1).reshape(-1, 2) * size


def _inside(points: np.ndarray, boxes: np.ndarray) -> Bool[Tensor, " n"]:
    """Which of the points (x, y) lie in any of the boxes."""
    where, given = torch.from_numpy(points)[:, None], torch.from_numpy(boxes)[None]
    return ((where >= given[..., :2]) & (where <= given[..., 2:])).all(-1).any(1)
