"""A question about a picture and its answer, in tokens of a language model, and a batch of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

LENGTHS = 8  # rows of tokens are padded to a multiple, so that a model meets few shapes


class Asked(NamedTuple):
    """`question` begins with the first token of a text; the answer ends with its last one."""

    question: tuple[int, ...]
    answer: tuple[int, ...]


def columns(asked: Sequence[Sequence[Asked]], *, slots: int) -> dict[str, Tensor]:
    """What `RegionBatch.extra` holds of the questions about each picture, at most `slots` of them,
    padded on the right.

    `question` [b q t] are the tokens, the answer's behind the question's, `question_valid` [b q t]
    says where there are any: in the first place of a row at least, of a slot without a question
    too. `answer_at` [b q a] are the places of the answer's tokens; -1 is padding.
    """
    rows = [one for own in asked for one in [*own, *[None] * (slots - len(own))]]
    whole = [(*one.question, *one.answer) if one else () for one in rows]
    answers = [len(one.answer) if one else 0 for one in rows]
    tokens = np.zeros((len(rows), _padded(max(map(len, whole), default=0))), np.int64)
    at = np.full((len(rows), max(answers, default=0) or 1), -1, np.int64)
    for i, row in enumerate(whole):
        tokens[i, : len(row)] = row
        at[i, : answers[i]] = np.arange(len(row) - answers[i], len(row))
    counts = np.array([max(len(row), 1) for row in whole], np.int64)
    valid = np.arange(tokens.shape[1]) < counts[:, None]
    found = {"question": tokens, "question_valid": valid, "answer_at": at}
    return {
        name: torch.from_numpy(column.reshape(len(asked), slots, -1))
        for name, column in found.items()
    }


def _padded(length: int) -> int:
    return max(-(-length // LENGTHS), 1) * LENGTHS
