"""A vision-language model looked at over many questions: where it looks when it is about to answer,
how long its tokens are, and what changes when patches lose their order."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from cloc.decoder.vlm.figures import Figures
from cloc.decoder.vlm.grid import Grid
from cloc.decoder.vlm.looker import Looked, Looker
from cloc.decoder.vlm.question import Question
from cloc.errors import UserError
from cloc.eval.asking import batches
from cloc.eval.diagnosis.norms import Norms

AT_LEAST = 2  # pictures: heads are chosen on some and reported on others
NOWHERE = "its picture tokens are made by queries, which lie nowhere in the picture"
NO_BOX = "in one half of the pictures no box holds the middle of a patch"


class Shown(NamedTuple):
    """A question and where words look, [rows columns] each: a part of all patches, which cover the
    `picture`; `boxes` are fractions of that, [n 4]."""

    question: Question
    picture: PIL.Image.Image
    boxes: np.ndarray
    said: str  # the likeliest first token
    all_heads: np.ndarray
    best_heads: np.ndarray | None  # of those chosen on other pictures


class _Kept(NamedTuple):
    question: Question
    said: str
    maps: np.ndarray  # [layers heads rows columns]


class _Firsts:
    """What becomes of the first token when patches are permuted."""

    def __init__(self) -> None:
        self.sure: list[Tensor] = []
        self.changed: list[Tensor] = []
        self.moved: list[Tensor] = []

    def add(self, plain: Tensor, moved: Tensor) -> None:
        one, other = plain.softmax(-1), moved.softmax(-1)
        self.sure.append(one.amax(-1).cpu())
        self.changed.append((one.argmax(-1) != other.argmax(-1)).float().cpu())
        self.moved.append((one - other).abs().sum(-1).cpu() / 2)

    def figures(self) -> dict[str, float]:
        parts = {"confidence": self.sure, "changed": self.changed, "moved": self.moved}
        return {name: float(torch.cat(found).mean()) for name, found in parts.items()}


class _Looks:
    """Of all pictures, batch by batch."""

    def __init__(self, looker: Looker, *, first_shown: int, shown: int) -> None:
        self.looker, self.first_shown, self.shown = looker, first_shown, shown
        self.figures, self.norms, self.firsts = Figures(), Norms(), _Firsts()
        self.kept: list[_Kept] = []
        self.lengths: list[tuple[int, int, int]] = []
        self.grids: set[Grid] = set()
        self.lies = True  # somewhere in the picture

    def add(self, part: Sequence[Question]) -> None:
        looked = self.looker.look(part, self.norms)
        self.firsts.add(looked.look.first, looked.moved)
        self.figures.add(looked)
        self.grids |= set(looked.grids or ())
        self.lies = looked.grids is not None
        for row, question in enumerate(part):
            number = len(self.lengths)
            if number >= self.first_shown and len(self.kept) < self.shown:
                self.kept += _keep(self.looker, looked, row, question)
            kinds = (looked.picture, looked.before, looked.valid)
            image, before, prompt = (int(which[row].sum()) for which in kinds)
            self.lengths.append((image, before, prompt))

    def document(self, best: dict[str, Any] | None) -> dict[str, Any]:
        image, before, prompt = torch.tensor(self.lengths).float().mean(0).tolist()
        norms = {"image": self.norms, "words": self.looker.words()}
        return {
            "pictures": len(self.lengths),
            "grid": list(next(iter(self.grids))) if len(self.grids) == 1 else None,
            "tokens": {"image": image, "before": before, "prompt": prompt},
            "layers": _layers(self.figures),
            "even": self.figures.even(),
            "best_heads": best,
            "token_norms": {name: own.figures() for name, own in norms.items()},
            "first_token": self.firsts.figures(),
            "absent": {} if best else {"on_boxes": NO_BOX if self.lies else NOWHERE},
        }


def diagnose(
    looker: Looker, questions: Sequence[Question], *, batch_size: int, top_heads: int, shown: int
) -> tuple[dict[str, Any], list[Shown]]:
    """What each entry is stands in docs/evaluate/diagnose.md, and the first `shown` pictures of the
    second half, on which no head was chosen."""
    if len(questions) < AT_LEAST:
        raise UserError(f"{len(questions)} pictures to ask about; give {AT_LEAST} or more")
    looks = _Looks(looker, first_shown=len(questions) // 2, shown=shown)
    for part in batches(questions, size=batch_size):
        looks.add(part)
    best = looks.figures.best(top_heads)
    return looks.document(best), [_shown(looker, one, looks.figures, best) for one in looks.kept]


def _layers(figures: Figures) -> list[dict[str, Any]]:
    heads = figures.heads()
    return [
        {"layer": number, **{name: rows and rows[i] for name, rows in heads.items()}}
        for i, number in enumerate(figures.layers)
    ]


def _keep(looker: Looker, looked: Looked, row: int, question: Question) -> list[_Kept]:
    if looked.grids is None:
        return []
    own = looked.look.shares[:, row][..., looked.picture[row]]
    own = own / own.sum(-1, keepdim=True).clamp(min=1e-12)
    said = looker.say(int(looked.look.first[row].argmax()))
    return [_Kept(question, said, own.unflatten(-1, looked.grids[row]).cpu().numpy())]


def _shown(looker: Looker, one: _Kept, figures: Figures, best: dict[str, Any] | None) -> Shown:
    chosen = None
    if best:
        places = [(figures.layers.index(x["layer"]), x["head"]) for x in best["heads"]]
        chosen = np.mean([one.maps[place] for place in places], 0)
    picture, boxes = looker.shown(one.question)
    return Shown(one.question, picture, boxes, one.said, one.maps.mean((0, 1)), chosen)
