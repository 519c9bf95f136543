"""A question about a picture and its answer, in tokens of a language model, and a batch of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

LENGTHS = 8  # rows are padded to a multiple, so that a compiled model meets few shapes


class Asked(NamedTuple):
    """`question` begins with the first token of a text; the answer ends with its last one.

    `steps` are how many tokens of the answer each of its steps has; none: it is one step. `grounds`
    says that it tells where something is.
    """

    question: tuple[int, ...]
    answer: tuple[int, ...]
    steps: tuple[int, ...] = ()
    grounds: bool = False


def columns(asked: Sequence[Asked | None]) -> dict[str, Tensor]:
    """What `RegionBatch.extra` holds of them, a row each, padded on the right.

    `question` [b t] are the tokens, the answer's behind the question's, `question_valid` [b t] says
    where there are any: in the first place of a row at least, of a picture without a question too.
    `answer_at` [b a] are the places of the answer's tokens, `answer_step` [b a] the numbers of
    their steps, from 0; -1 is padding. `grounds` [b] is False of a picture without a question.
    """
    rows = [(*one.question, *one.answer) if one else () for one in asked]
    tokens = np.zeros((len(rows), _padded(max(map(len, rows), default=0))), np.int64)
    counts = np.array([len(row) for row in rows], np.int64)
    answers = [len(one.answer) if one else 0 for one in asked]
    at = np.full((len(rows), _padded(max(answers, default=0))), -1, np.int64)
    step = at.copy()
    for i, (one, row) in enumerate(zip(asked, rows, strict=True)):
        tokens[i, : len(row)] = row
        at[i, : answers[i]] = np.arange(len(row) - answers[i], len(row))
        steps = (one.steps if one else ()) or (answers[i],)
        step[i, : answers[i]] = np.repeat(np.arange(len(steps)), steps)
    found = {
        "question": tokens,
        "question_valid": np.arange(tokens.shape[1]) < np.maximum(counts, 1)[:, None],
        "answer_at": at,
        "answer_step": step,
        "grounds": np.array([one is not None and one.grounds for one in asked], bool),
    }
    return {name: torch.from_numpy(column) for name, column in found.items()}


def _padded(length: int) -> int:
    return max(-(-length // LENGTHS), 1) * LENGTHS
