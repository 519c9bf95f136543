"""Questions about an annotated picture, each with its one right answer, from what shards hold.

Any shards serve: boxes with names, relations with their flipped form (`meta.relations`), pairs of
look-alikes (`meta.twins`), as scenes have them and `stages/relations` writes them of photographs.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from cloc.decoder.boxes_in_words import Box
from cloc.interfaces import Example

KINDS = ("relation", "where", "what", "which")


class Question(NamedTuple):
    """`asked` are words and boxes in the order in which they are said; boxes are fractions of the
    frame in which the encoder sees the picture."""

    kind: str
    asked: tuple[str | Box, ...]
    answer: str | Box


def questions_of(example: Example, boxes: Sequence[Box], rng: Random) -> list[Question]:
    """All that can be asked; `boxes` are the example's in the frame.

    relation: is a statement true? Half of them are the flipped ones. where: the box of a phrase
    that one region has, if it is not the name of several things. what: the class of a box; left out
    where there is none. which: of two look-alikes the one that a phrase is true of, the right one
    first as often as last.
    """
    return [
        *_relations(example, rng),
        *_where(example, boxes),
        *_what(example, boxes),
        *_which(example, boxes, rng),
    ]


def _relations(example: Example, rng: Random) -> Iterator[Question]:
    for relation in example.meta.get("relations", ()):
        true = rng.random() < 0.5
        said = relation["caption" if true else "flipped"]
        yield Question("relation", (f"is it true? {said}",), "yes" if true else "no")


def _where(example: Example, boxes: Sequence[Box]) -> Iterator[Question]:
    counts = Counter(example.phrases)
    alike = Counter(label for label, _ in set(zip(example.labels, boxes, strict=True)))
    for phrase, label, box in zip(example.phrases, example.labels, boxes, strict=True):
        plain = phrase in (label, *(f"{article} {label}" for article in ("a", "an", "the")))
        if counts[phrase] == 1 and not (plain and alike[label] > 1):
            yield Question("where", (f"where is {phrase}?",), box)


def _what(example: Example, boxes: Sequence[Box]) -> Iterator[Question]:
    for box, label in dict.fromkeys(zip(boxes, example.labels, strict=True)):
        if label:
            yield Question("what", ("what is at", box, "?"), label)


def _which(example: Example, boxes: Sequence[Box], rng: Random) -> Iterator[Question]:
    for twin in example.meta.get("twins", ()):
        right, wrong = boxes[twin["region"]], boxes[twin["other"]]
        first, second = (right, wrong) if rng.random() < 0.5 else (wrong, right)
        asked = (f"which is {twin['phrase']},", first, "or", second, "?")
        yield Question("which", asked, right)
