"""A question for each picture of a training batch."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from cloc.data.samples.asked import Asked
from cloc.data.samples.transforms import Sample
from cloc.decoder.boxes_in_words import Box, BoxWords
from cloc.decoder.questions import KINDS, Question, questions_of
from cloc.errors import UserError

REMEMBERED = 100_000  # texts, of which most come again and again


class Asking:
    """Of what a picture shows one question of one of `kinds`, each as often as the others where the
    picture allows it, or none. What is left out of a picture (`data.view.max_regions`) is not known
    to have a name too, so show all of it."""

    def __init__(self, boxes: BoxWords, *, kinds: Sequence[str] = KINDS) -> None:
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or not kinds:
            raise UserError(f"decoder.kinds={list(kinds)}; choose from {', '.join(KINDS)}")
        self.boxes, self.kinds = boxes, tuple(kinds)
        self._known: dict[str, list[int]] = {}

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Asked | None:
        sides = np.array(sample.image.size * 2, np.float32)
        boxes = [(x0, y0, x1, y1) for x0, y0, x1, y1 in (sample.boxes / sides).tolist()]
        of_kind = defaultdict(list)
        for question in questions_of(boxes, sample.phrases, sample.negatives, rng):
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
        return Asked((*begin, *asked), (*self._part(question.answer), words.end))

    def _part(self, part: str | Box) -> list[int]:
        if not isinstance(part, str):
            return self.boxes.encode(part)
        if part not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[part] = self.boxes.words.encode(part)
        return self._known[part]
