"""Questions about an annotated picture, each with its one right answer, from what shards hold:
boxes with names, and phrases with their flipped form, as scenes have them and `stages/relations`
writes them of photographs."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from cloc.decoder.boxes_in_words import Box

KINDS = ("where", "what", "whether")
WHERE = "where is {phrase}?"
ARTICLE = re.compile(r"^(?:an?|the)\s+", re.IGNORECASE)
# In questions and answers of any data.
SAID = ("where is what is at ? yes no", "which is the ? step by step", "is at and at .")


class Question(NamedTuple):
    """`asked` are words and boxes in the order in which they are said; boxes are fractions of the
    frame in which the encoder sees the picture. It is about `region`. `steps` are said before the
    answer, each of words and boxes too (`cloc.decoder.reasons`)."""

    kind: str
    asked: tuple[str | Box, ...]
    answer: str | Box
    region: int
    steps: tuple[tuple[str | Box, ...], ...] = ()

    @property
    def grounds(self) -> bool:
        """Whether a box is said, in the answer or on the way to it."""
        return any(not isinstance(part, str) for part in (*chain(*self.steps), self.answer))


def bare(phrase: str) -> str:
    """Without its first article."""
    return ARTICLE.sub("", phrase)


def questions_of(
    boxes: Sequence[Box],
    phrases: Sequence[str],
    negatives: Sequence[Sequence[str]],
    rng: np.random.Generator,
) -> Iterator[Question]:
    """All that can be asked of regions, one by one.

    where: the box of a phrase, if no other box of the picture has it too. what: the name of a box,
    which is a phrase without a flipped form, if it has no other one. whether: is a phrase true of
    its box? Half of the questions have its flipped form in its place, and the answer no.
    """
    called, names = defaultdict(set), defaultdict(set)
    for phrase, box, wrong in zip(phrases, boxes, negatives, strict=True):
        called[phrase].add(box)
        if not wrong:
            names[box].add(phrase)
    for i, (box, phrase, wrong) in enumerate(zip(boxes, phrases, negatives, strict=True)):
        if len(called[phrase]) == 1:
            yield Question("where", (WHERE.format(phrase=phrase),), box, i)
        if wrong:
            is_so = rng.random() < 0.5
            said = phrase if is_so else wrong[int(rng.integers(len(wrong)))]
            yield Question("whether", ("is", box, f"{said}?"), "yes" if is_so else "no", i)
        elif len(names[box]) == 1:
            yield Question("what", ("what is at", box, "?"), phrase, i)
