"""Questions about each picture of a training batch."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain

import numpy as np

from cloc.data.samples.asked import Asked
from cloc.data.samples.transforms import Sample
from cloc.decoder.boxes_in_words import Box, BoxWords
from cloc.decoder.prompts import FORMS, PROMPT, Prompt, prompts_of
from cloc.decoder.questions import KINDS, Question, questions_of
from cloc.decoder.reasons import REASON, reasons_of
from cloc.errors import UserError

CHOICE = (*KINDS, REASON, PROMPT)
REMEMBERED = 100_000  # texts, of which most come again and again


class Asking:
    """At most `slots` questions about what a picture shows, each of another thing or kind, and each
    of `kinds` as often as the others where the picture allows it. What is left out of a picture
    (`data.view.max_regions`) is not known to have a name too, so show all of it.

    Of prompts only those forms are taken whose words the decoder has: nobody can ask it others."""

    def __init__(self, boxes: BoxWords, *, kinds: Sequence[str] = KINDS, slots: int = 1) -> None:
        unknown = [kind for kind in kinds if kind not in CHOICE]
        if unknown or not kinds:
            raise UserError(f"decoder.kinds={list(kinds)}; choose from {', '.join(CHOICE)}")
        if slots < 1:
            raise UserError(f"decoder.slots={slots}; give 1 or more, questions about a picture")
        self.boxes, self.kinds, self.slots = boxes, tuple(kinds), slots
        self._known: dict[str, list[int]] = {}
        self._forms = tuple(form for form in FORMS if self._can_say(form.format(name="")))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> tuple[Asked, ...]:
        sides = np.array(sample.image.size * 2, np.float32)
        boxes = [(x0, y0, x1, y1) for x0, y0, x1, y1 in (sample.boxes / sides).tolist()]
        shown = boxes, sample.phrases, sample.negatives
        reasons = reasons_of(*shown) if REASON in self.kinds else ()
        left: dict[str, list[Question | Prompt]] = defaultdict(list)
        if PROMPT in self.kinds and self._forms and sample.phrases:
            left[PROMPT] = list(prompts_of(sample.phrases, rng, self._forms))
        for question in chain(questions_of(*shown, rng), reasons):
            if question.kind in self.kinds:
                left[question.kind].append(question)
        found: list[Question | Prompt] = []
        while len(found) < self.slots and left:
            kind = sorted(left)[int(rng.integers(len(left)))]
            found.append(left[kind].pop(int(rng.integers(len(left[kind])))))
            if not left[kind]:
                del left[kind]
        return tuple(self.tokens(question) for question in found)

    def tokens(self, question: Question | Prompt) -> Asked:
        """With the first and last token of a text; a prompt has no answer."""
        words = self.boxes.words
        begin = () if words.begin is None else (words.begin,)
        if isinstance(question, Prompt):
            return Asked((*begin, *self._part(question.text)), (), (), question.grounds)
        asked = [token for part in question.asked for token in self._part(part)]
        parts = (*question.steps, (question.answer,))
        steps = [[token for part in step for token in self._part(part)] for step in parts]
        steps[-1].append(words.end)
        said, lengths = tuple(chain(*steps)), tuple(map(len, steps))
        return Asked((*begin, *asked), said, lengths, question.grounds)

    def _can_say(self, text: str) -> bool:
        try:
            self.boxes.words.encode(text)
        except UserError:
            return False
        return True

    def _part(self, part: str | Box) -> list[int]:
        if not isinstance(part, str):
            return self.boxes.encode(part)
        if part not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[part] = self.boxes.words.encode(part)
        return self._known[part]
