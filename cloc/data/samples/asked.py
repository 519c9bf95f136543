"""Questions about pictures and their answers, in tokens of a language model, a batch of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

LENGTHS = 8  # rows of tokens are padded to a multiple, so that a model meets few shapes


class Asked(NamedTuple):
    """`question` begins with the first token of a text; the answer ends with its last one, or there
    is none and only the question is learned from.

    `steps` are how many tokens of the answer each of its steps has; none: it is one step. `grounds`
    says that it tells where something is.
    """

    question: tuple[int, ...]
    answer: tuple[int, ...]
    steps: tuple[int, ...] = ()
    grounds: bool = False


def columns(asked: Sequence[Sequence[Asked]], *, slots: int) -> dict[str, Tensor]:
    """What `RegionBatch.extra` holds of the questions about each picture, at most `slots` of them,
    padded on the right.

    `question` [b q t] are the tokens, the answer's behind the question's, `question_valid` [b q t]
    says where there are any: in the first place of a row at least, of a slot without a question
    too. `answer_at` [b q a] are the places of the answer's tokens, `answer_step` [b q a] the
    numbers of their steps, from 0; -1 is padding. `is_asked` [b q] says where there is a question,
    `grounds` [b q] what its answer does; False without one.
    """
    rows = [one for own in asked for one in [*own, *[None] * (slots - len(own))]]
    whole = [(*one.question, *one.answer) if one else () for one in rows]
    answers = [len(one.answer) if one else 0 for one in rows]
    tokens = np.zeros((len(rows), _padded(max(map(len, whole), default=0))), np.int64)
    at = np.full((len(rows), max(answers, default=0) or 1), -1, np.int64)
    step = at.copy()
    for i, (one, row) in enumerate(zip(rows, whole, strict=True)):
        tokens[i, : len(row)] = row
        at[i, : answers[i]] = np.arange(len(row) - answers[i], len(row))
        steps = (one.steps if one else ()) or (answers[i],)
        step[i, : answers[i]] = np.repeat(np.arange(len(steps)), steps)
    counts = np.array([max(len(row), 1) for row in whole], np.int64)
    found = {
        "question": tokens,
        "question_valid": np.arange(tokens.shape[1]) < counts[:, None],
        "answer_at": at,
        "answer_step": step,
    }
    shape = (len(asked), slots)
    columns = {name: column.reshape(*shape, -1) for name, column in found.items()}
    columns["is_asked"] = np.array([one is not None for one in rows], bool).reshape(shape)
    columns["grounds"] = np.array([bool(one and one.grounds) for one in rows]).reshape(shape)
    return {name: torch.from_numpy(x) for name, x in columns.items()}


def _padded(length: int) -> int:
    return max(-(-length // LENGTHS), 1) * LENGTHS
