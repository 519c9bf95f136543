"""A question about a picture and its answer, in tokens of a language model, and a batch of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

LENGTHS = 8  # rows are padded to a multiple, so that a compiled model meets few shapes


class Asked(NamedTuple):
    """`question` begins with the first token of a text; the answer ends with its last one."""

    question: tuple[int, ...]
    answer: tuple[int, ...]


def columns(asked: Sequence[Asked | None]) -> dict[str, Tensor]:
    """What `RegionBatch.extra` holds of them, a row each, padded on the right.

    `question` [b t] are the tokens, the answer's behind the question's, `question_valid` [b t] says
    where there are any: in the first place of a row at least, of a picture without a question too.
    `answer_at` [b a] are the places of the answer's tokens; -1 is padding.
    """
    rows = [(*one.question, *one.answer) if one else () for one in asked]
    tokens = np.zeros((len(rows), _padded(max(map(len, rows), default=0))), np.int64)
    counts = np.array([len(row) for row in rows], np.int64)
    answers = [len(one.answer) if one else 0 for one in asked]
    at = np.full((len(rows), _padded(max(answers, default=0))), -1, np.int64)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
        at[i, : answers[i]] = np.arange(len(row) - answers[i], len(row))
    valid = np.arange(tokens.shape[1]) < np.maximum(counts, 1)[:, None]
    found = {"question": tokens, "question_valid": valid, "answer_at": at}
    return {name: torch.from_numpy(column) for name, column in found.items()}


def _padded(length: int) -> int:
    return max(-(-length // LENGTHS), 1) * LENGTHS
