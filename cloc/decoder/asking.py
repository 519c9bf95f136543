"""A question for each picture of a training batch."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain

import numpy as np

from cloc.data.samples.asked import Asked
from cloc.data.samples.transforms import Sample
from cloc.decoder.boxes_in_words import Box, BoxWords
from cloc.decoder.questions import KINDS, Question, questions_of
from cloc.decoder.reasons import REASON, reasons_of
from cloc.errors import UserError

CHOICE = (*KINDS, REASON)
REMEMBERED = 100_000  # texts, of which most come again and again


class Asking:
    """Of what a picture shows one question of one of `kinds`, each as often as the others where the
    picture allows it, or none. What is left out of a picture (`data.view.max_regions`) is not known
    to have a name too, so show all of it."""

    def __init__(self, boxes: BoxWords, *, kinds: Sequence[str] = KINDS) -> None:
        unknown = [kind for kind in kinds if kind not in CHOICE]
        if unknown or not kinds:
            raise UserError(f"decoder.kinds={list(kinds)}; choose from {', '.join(CHOICE)}")
        self.boxes, self.kinds = boxes, tuple(kinds)
        self._known: dict[str, list[int]] = {}

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Asked | None:
        sides = np.array(sample.image.size * 2, np.float32)
        boxes = [(x0, y0, x1, y1) for x0, y0, x1, y1 in (sample.boxes / sides).tolist()]
        shown = boxes, sample.phrases, sample.negatives
        reasons = reasons_of(*shown) if REASON in self.kinds else ()
        of_kind = defaultdict(list)
        for question in chain(questions_of(*shown, rng), reasons):
            of_kind[question.kind].append(question)
        there = [kind for kind in self.kinds if of_kind[kind]]
        if not there:
            return None
        chosen = of_kind[there[int(rng.integers(len(there)))]]
        return self.tokens(chosen[int(rng.integers(len(chosen)))])

    def tokens(self, question: Question) -> Asked:
        """With the first and last token of a text."""
        words = self.boxes.words
        asked = [token for part in question.asked for token in self._part(part)]
        begin = () if words.begin is None else (words.begin,)
        parts = (*question.steps, (question.answer,))
        steps = [[token for part in step for token in self._part(part)] for step in parts]
        steps[-1].append(words.end)
        said, lengths = tuple(chain(*steps)), tuple(map(len, steps))
        return Asked((*begin, *asked), said, lengths, question.grounds)

    def _part(self, part: str | Box) -> list[int]:
        if not isinstance(part, str):
            return self.boxes.encode(part)
        if part not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[part] = self.boxes.words.encode(part)
        return self._known[part]
