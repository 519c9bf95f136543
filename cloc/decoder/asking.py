"""A question for each picture of a training batch, put together from the tokens that are in it."""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from cloc.decoder.boxes_in_words import Box, BoxWords
from cloc.errors import UserError
from cloc.interfaces import RegionBatch

KINDS = ("where", "what", "which")
NOTHING = -1
LENGTHS = 8  # rows are padded to a multiple, so that a compiled model meets few shapes


class Asked(NamedTuple):
    """Rows of a question and its answer, padded on the right."""

    tokens: Int[Tensor, "b t"]
    valid: Bool[Tensor, "b t"]
    answer: Bool[Tensor, "b t"]  # what is to be said, the last token too; nowhere in some rows
    kinds: Int[Tensor, " b"]  # places in `KINDS`; -1 where a picture has nothing to ask about


class Asking:
    """where: the box of a phrase that one region of the picture has. what: the phrase of a box.
    which: of two phrases that one which is true of a box, the other being its hard negative; the
    true one comes first as often as last. `kinds` are those that are asked, each as often as the
    others where a picture allows it."""

    def __init__(self, boxes: BoxWords, *, kinds: Sequence[str] = KINDS) -> None:
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or not kinds:
            raise UserError(f"decoder.kinds={list(kinds)}; choose from {', '.join(KINDS)}")
        self.boxes, self.words, self.kinds = boxes, boxes.words, tuple(kinds)
        said = ("where is", "what is at", "at", ":", "or", "?")
        self._said = {text: self.words.encode(text) for text in said}

    def __call__(self, batch: RegionBatch, rng: Random) -> Asked:
        """On the device of the batch."""
        phrases = [self._content(row) for row in batch.phrases.tolist()]
        columns = (batch.boxes, batch.valid, batch.phrase_index, batch.negative_index)
        pictures = zip(*(column.tolist() for column in columns), strict=True)
        rows = [
            self._row(phrases, boxes, valid, index, negatives, rng)
            for boxes, valid, index, negatives in pictures
        ]
        longest = max(len(asked) + len(answer) for _, asked, answer in rows)
        length = -(-longest // LENGTHS) * LENGTHS
        tokens = torch.full((len(rows), length), self.words.end)
        valid, answers = torch.zeros(2, len(rows), length, dtype=torch.bool)
        for i, (_, asked, answer) in enumerate(rows):
            count = len(asked) + len(answer)
            tokens[i, :count] = torch.tensor(asked + answer)
            valid[i, :count] = True
            answers[i, len(asked) : count] = True
        kinds = torch.tensor([kind for kind, _, _ in rows])
        return Asked(*(x.to(batch.boxes.device) for x in (tokens, valid, answers, kinds)))

    def _content(self, row: list[int]) -> list[int]:
        """Of a row of tokens what stands between the first and the last."""
        row = row[1:] if row[:1] == [self.words.begin] else row
        return row[: row.index(self.words.end)] if self.words.end in row else row

    def _row(
        self,
        phrases: Sequence[list[int]],
        boxes: Sequence[Sequence[float]],
        valid: Sequence[bool],
        index: Sequence[int],
        negatives: Sequence[Sequence[int]],
        rng: Random,
    ) -> tuple[int, list[int], list[int]]:
        """The kind, what is asked and the answer."""
        regions = [i for i, there in enumerate(valid) if there]
        counts = Counter(index[i] for i in regions)
        able = {
            "where": [i for i in regions if counts[index[i]] == 1],
            "what": regions,
            "which": [i for i in regions if max(negatives[i], default=-1) >= 0],
        }
        kinds = [kind for kind in self.kinds if able[kind]]
        begin = [] if self.words.begin is None else [self.words.begin]
        if not kinds:
            return NOTHING, [*begin, self.words.end], []
        kind = rng.choice(kinds)
        i = rng.choice(able[kind])
        x0, y0, x1, y1 = boxes[i]
        own, box = phrases[index[i]], (x0, y0, x1, y1)
        wrong = [phrases[n] for n in negatives[i] if n >= 0]
        asked, answer = self._question(kind, own, box, wrong, rng)
        return KINDS.index(kind), begin + asked, [*answer, self.words.end]

    def _question(
        self, kind: str, own: list[int], box: Box, wrong: list[list[int]], rng: Random
    ) -> tuple[list[int], list[int]]:
        say, there = self._said, self.boxes.encode(box)
        if kind == "where":
            return [*say["where is"], *own, *say["?"]], there
        if kind == "what":
            return [*say["what is at"], *there, *say["?"]], own
        two = [own, rng.choice(wrong)]
        rng.shuffle(two)
        return [*say["at"], *there, *say[":"], *two[0], *say["or"], *two[1], *say["?"]], own
