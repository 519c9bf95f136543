"""A vision-language model looked at over many questions: where it looks when it is about to answer,
how long its tokens are, and what changes when patches lose their order."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cloc.decoder.vlm.asked import Asked, ask
from cloc.decoder.vlm.figures import Figures, inside_of
from cloc.decoder.vlm.gaze import Look, first_token, gaze
from cloc.decoder.vlm.grid import Grid
from cloc.decoder.vlm.lengths import measuring, of_words
from cloc.decoder.vlm.permute import permuted
from cloc.decoder.vlm.question import Question
from cloc.decoder.vlm.vlm import VLM
from cloc.errors import UserError
from cloc.eval.asking import batches
from cloc.eval.diagnosis.norms import Norms

AT_LEAST = 2  # pictures: heads are chosen on some and reported on others
SEED = 0  # of the order that patches are brought into
NOWHERE = "its picture tokens are made by queries, which lie nowhere in the picture"
NO_BOX = "in one half of the pictures no box holds the middle of a patch"


class Shown(NamedTuple):
    """A picture and where words look in it, [rows columns] each: a part of all its patches."""

    question: Question
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

    def __init__(self, vlm: VLM, *, first_shown: int, shown: int) -> None:
        self.vlm, self.first_shown, self.shown = vlm, first_shown, shown
        self.figures, self.norms, self.firsts = Figures(), Norms(), _Firsts()
        self.kept: list[_Kept] = []
        self.lengths: list[tuple[int, int]] = []
        self.grids: set[Grid] = set()
        self.lies = True  # somewhere in the picture

    def add(self, part: Sequence[Question]) -> None:
        vlm = self.vlm
        pictures = [question.picture(square=is_square(vlm)) for question in part]
        asked = ask(vlm, pictures, [question.text for question in part])
        with measuring(vlm, asked, self.norms):
            look = gaze(vlm, asked)
        with permuted(vlm, asked, seed=SEED):
            self.firsts.add(look.first, first_token(vlm, asked))
        self.figures.add(look, asked, inside_of(asked, part))
        self.grids |= set(asked.grids or ())
        self.lies = asked.grids is not None
        for row, question in enumerate(part):
            number = len(self.lengths)
            if number >= self.first_shown and len(self.kept) < self.shown:
                self.kept += _keep(vlm, look, asked, row, question)
            self.lengths.append((int(asked.picture[row].sum()), int(asked.valid[row].sum())))

    def document(self, best: dict[str, Any] | None) -> dict[str, Any]:
        images, prompts = torch.tensor(self.lengths).float().mean(0).tolist()
        return {
            "pictures": len(self.lengths),
            "grid": list(next(iter(self.grids))) if len(self.grids) == 1 else None,
            "tokens": {"image": images, "prompt": prompts},
            "layers": _layers(self.figures),
            "even": self.figures.even(),
            "best_heads": best,
            "token_norms": {"image": self.norms.figures(), "words": of_words(self.vlm).figures()},
            "first_token": self.firsts.figures(),
            "absent": {} if best else {"on_boxes": NO_BOX if self.lies else NOWHERE},
        }


def diagnose(
    vlm: VLM, questions: Sequence[Question], *, batch_size: int, top_heads: int, shown: int
) -> tuple[dict[str, Any], list[Shown]]:
    """What each entry is stands in docs/evaluate/diagnose.md, and the first `shown` pictures of the
    second half, on which no head was chosen. Two passes a picture."""
    if len(questions) < AT_LEAST:
        raise UserError(f"{len(questions)} pictures to ask about; give {AT_LEAST} or more")
    looks = _Looks(vlm, first_shown=len(questions) // 2, shown=shown)
    for part in batches(questions, size=batch_size):
        looks.add(part)
    best = looks.figures.best(top_heads)
    return looks.document(best), [_shown(one, looks.figures, best) for one in looks.kept]


def is_square(vlm: VLM) -> bool:
    """Whether each picture becomes one of the same sides, so that its own shape is lost."""
    return "image_grid_thw" not in vlm.processor.model_input_names


def _layers(figures: Figures) -> list[dict[str, Any]]:
    heads = figures.heads()
    return [
        {"layer": number, **{name: rows and rows[i] for name, rows in heads.items()}}
        for i, number in enumerate(figures.layers)
    ]


def _keep(vlm: VLM, look: Look, asked: Asked, row: int, question: Question) -> list[_Kept]:
    if asked.grids is None:
        return []
    own = look.shares[:, row][..., asked.picture[row]]
    own = own / own.sum(-1, keepdim=True).clamp(min=1e-12)
    said = vlm.processor.tokenizer.decode([int(look.first[row].argmax())])
    return [_Kept(question, said, own.unflatten(-1, asked.grids[row]).cpu().numpy())]


def _shown(one: _Kept, figures: Figures, best: dict[str, Any] | None) -> Shown:
    chosen = None
    if best:
        places = [(figures.layers.index(x["layer"]), x["head"]) for x in best["heads"]]
        chosen = np.mean([one.maps[place] for place in places], 0)
    return Shown(one.question, one.said, one.maps.mean((0, 1)), chosen)
