"""AdaptVis chosen on questions of a validation split, one for each kind of question."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from cloc.decoder.answerer import Asked, Seen
from cloc.decoder.question_set import Answer, Put, is_right
from cloc.decoder.steer import AdaptVis, choose

FACTORS = (1.0, 0.5, 0.8, 1.2, 1.5, 2.0)  # those of arXiv 2503.01773
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@runtime_checkable
class Asks(Protocol):
    """What is needed of an `Answerer`."""

    def ask(
        self,
        seen: Seen,
        rows: Sequence[int],
        questions: Sequence[Asked],
        *,
        steer: AdaptVis | None = None,
    ) -> Sequence[Answer]: ...

    def confidence(
        self, seen: Seen, rows: Sequence[int], questions: Sequence[Asked]
    ) -> Float[Tensor, " n"]: ...


def tuned(answerer: Asks, seen: Seen, asked: Sequence[Put]) -> dict[str, AdaptVis]:
    """Kind -> the factors and the threshold with which most of its questions are answered rightly.
    Report on other pictures than those of `asked`."""
    found = {}
    for kind in dict.fromkeys(one.question.kind for one in asked):
        own = [one for one in asked if one.question.kind == kind]
        rows = [one.picture for one in own]
        questions = [one.question.asked for one in own]
        right = {}
        for factor in FACTORS:
            steer = None if factor == 1 else AdaptVis(unsure=factor, sure=factor)
            said = answerer.ask(seen, rows, questions, steer=steer)
            pairs = zip(own, said, strict=True)
            right[factor] = torch.tensor([is_right(one, answer) for one, answer in pairs])
        sure = answerer.confidence(seen, rows, questions)
        found[kind] = choose(sure.cpu(), right, THRESHOLDS)
    return found


def answers(
    answerer: Asks, seen: Seen, asked: Sequence[Put], steer: Mapping[str, AdaptVis]
) -> list[Answer]:
    """Of each question, steered as its kind has it; a kind that has none is asked as it is."""
    found: list[Answer] = [None] * len(asked)
    for kind in dict.fromkeys(one.question.kind for one in asked):
        places = [i for i, one in enumerate(asked) if one.question.kind == kind]
        rows = [asked[i].picture for i in places]
        questions = [asked[i].question.asked for i in places]
        said = answerer.ask(seen, rows, questions, steer=steer.get(kind))
        for place, answer in zip(places, said, strict=True):
            found[place] = answer
    return found
