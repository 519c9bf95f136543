"""Questions about the pictures of a split, and how many a decoder answers rightly."""

import re
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cloc import boxes as box_algebra
from cloc.decoder.boxes_in_words import Box
from cloc.decoder.questions import KINDS, Question, questions_of
from cloc.eval.blind_boxes import blind_boxes
from cloc.interfaces import Example

SIDES = re.compile(r"\b(left|right)\b")
Answer = str | Box | None  # None: what was said is no box
WHERES = ("where_acc@0.5", "where_miou")
DRAWS = 20  # of random boxes


class Put(NamedTuple):
    """`rivals` are the boxes of other things of the same class in the picture."""

    picture: int
    question: Question
    is_name: bool  # whether its phrase has no flipped form
    rivals: tuple[Box, ...]


def put(
    examples: Sequence[Example],
    boxes: Sequence[Float[Tensor, "_ 4"]],
    *,
    most: int,
    seed: int = 0,
) -> list[Put]:
    """At most `most` questions of each kind, of a where at most `most` with a name and as many with
    a relation, of relations at most `most` of look-alikes and as many of others; of pictures in an
    order of chance. `boxes` are those of the examples in the frame."""
    rng = np.random.default_rng(seed)
    counts: Counter[tuple[str, bool, bool]] = Counter()
    found = []
    for i in rng.permutation(len(examples)).tolist():
        for one in _of(i, examples[i], boxes[i], rng):
            key = (one.question.kind, one.is_name, bool(one.rivals) and not one.is_name)
            if counts[key] < most:
                counts[key] += 1
                found.append(one)
    return found


def _of(i: int, example: Example, boxes: Tensor, rng: np.random.Generator) -> list[Put]:
    own = [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes.tolist()]
    negatives = example.negatives or ((),) * len(own)
    found = []
    for question in questions_of(own, example.phrases, negatives, rng):
        region = question.region
        label = example.labels[region]
        rivals = {
            box
            for box, other in zip(own, example.labels, strict=True)
            if label and other == label and box != own[region]
        }
        found.append(Put(i, question, not negatives[region], tuple(sorted(rivals))))
    return found


def figures(asked: Sequence[Put], answers: Sequence[Answer]) -> dict[str, float]:
    """what: share of names that are said letter for letter. whether: share of right answers.
    left_right: of those to phrases with one of these words about one of several things of a class;
    of others the box in the question tells: a thing on the left is left of most. where_acc@0.5 and
    where_miou: of things by their name. look_alike: share of answers to a relation that lie on the
    thing that is meant more than on any other of its class, of which there are some. A figure of
    no question is left out; an answer that is no box has an IoU of 0. Chance is the commonest name,
    one of yes and no, one of the look-alikes, or a box of the size of any at a random place
    (`_random_box`); `_centre_box` is one in the middle.
    """
    pairs = list(zip(asked, answers, strict=True))
    of = {kind: [pair for pair in pairs if pair[0].question.kind == kind] for kind in KINDS}
    names = [pair for pair in of["where"] if pair[0].is_name]
    alike = [pair for pair in of["where"] if pair[0].rivals and not pair[0].is_name]
    sides = [pair for pair in of["whether"] if pair[0].rivals and _has_side(pair[0])]
    told: dict[str, list[float]] = {
        "what": [float(is_right(*pair)) for pair in of["what"]],
        "whether": [float(is_right(*pair)) for pair in of["whether"]],
        "left_right": [float(is_right(*pair)) for pair in sides],
        "where_acc@0.5": [float(is_right(*pair)) for pair in names],
        "where_miou": [_iou(_box(one), said) for one, said in names],
        "look_alike": [float(is_right(*pair)) for pair in alike],
    }
    found = {name: fmean(values) for name, values in told.items() if values}
    chance = {name: 0.5 for name in ("whether", "left_right")}
    chance["look_alike"] = fmean(1 / (1 + len(one.rivals)) for one, _ in alike) if alike else 0.0
    said = Counter(_letters(one.question.answer) for one, _ in of["what"])
    chance["what"] = max(said.values(), default=0) / max(said.total(), 1)
    blind = _blind([_box(one) for one, _ in names])
    chance |= {name: blind.get(f"{name}_random_box", 0.0) for name in WHERES}
    return found | {f"{name}_chance": x for name, x in chance.items() if name in found} | blind


def is_right(one: Put, said: Answer) -> bool:
    """Letter for letter, whatever a vocabulary makes of capitals, hyphens and blanks; of a where
    the box, with an IoU above 0.5 or, among look-alikes, the largest one with the thing that is
    meant."""
    if one.question.kind != "where":
        return _letters(one.question.answer) == _letters(said)
    if one.rivals and not one.is_name:
        return _picks(one, said)
    return _iou(_box(one), said) > 0.5


def _has_side(one: Put) -> bool:
    return bool(SIDES.search(str(one.question.asked[-1])))


def _letters(said: Answer) -> Answer:
    return "".join(re.findall(r"\w", said.casefold())) if isinstance(said, str) else said


def _box(one: Put) -> Box:
    assert not isinstance(one.question.answer, str)  # of a where
    return one.question.answer


def _picks(one: Put, said: Answer) -> bool:
    own = _iou(_box(one), said)
    return all(own > _iou(rival, said) for rival in one.rivals)


def _iou(box: Box, said: Answer) -> float:
    if said is None or isinstance(said, str):
        return 0.0
    return float(box_algebra.iou(torch.tensor(box), torch.tensor(said)))


def _blind(boxes: Sequence[Box]) -> dict[str, float]:
    """What boxes reach that are guessed without looking."""
    if not boxes:
        return {}
    targets = torch.tensor(boxes)
    guesses = blind_boxes([box[None] for box in targets], seed=0, draws=DRAWS)
    found: dict[str, float] = {}
    for name, draws in guesses.items():
        ious = torch.stack([box_algebra.iou(targets, guess) for guess in draws])
        of = zip(WHERES, ((ious > 0.5).float().mean(), ious.mean()), strict=True)
        found |= {f"{where}{name}": float(x) for where, x in of}
    return found
