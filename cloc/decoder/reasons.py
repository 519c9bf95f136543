"""Questions that are answered step by step, each step with its boxes: grounded chains of thought as
SCOUT has them (arXiv 2410.10491), made of what shards hold, without anybody's model."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from cloc.decoder.boxes_in_words import Box
from cloc.decoder.questions import Question, bare

REASON = "reason"


def reasons_of(
    boxes: Sequence[Box], phrases: Sequence[str], negatives: Sequence[Sequence[str]]
) -> Iterator[Question]:
    """Which is it? For phrases with a flipped form that one box of the picture has.

    First the boxes of all things with the name of the other one, then those of all with the name of
    the one that is asked for, if it is not alone; its own box is the answer. Boxes are told from
    the left on. The phrase must name two things, its own and one elsewhere. All of a name is known
    only where every box has one, a phrase without a flipped form; else there is no question.
    """
    named, told = _names(boxes, phrases, negatives)
    if set(boxes) != {box for own in named.values() for box in own}:
        return
    called = defaultdict(set)
    for phrase, box in zip(phrases, boxes, strict=True):
        called[phrase].add(box)
    for i, (box, phrase, wrong) in enumerate(zip(boxes, phrases, negatives, strict=True)):
        names = _named_in(phrase, named) if wrong and len(called[phrase]) == 1 else []
        if len(names) != 2 or box not in named[names[0]] or box in named[names[1]]:
            continue
        own, other = names
        steps = [_all(other, named, told)]
        if len(named[own]) > 1:
            steps.append(_all(own, named, told))
        yield Question(REASON, (f"which is {phrase}? step by step",), box, i, tuple(steps))


def _all(
    name: str, named: Mapping[str, set[Box]], told: Mapping[str, str]
) -> tuple[str | Box, ...]:
    first, *rest = sorted(named[name])
    more = [part for one in rest for part in ("and at", one)]
    return (f"{told[name] if rest else f'the {name}'} is at", first, *more, ".")


def _names(
    boxes: Sequence[Box], phrases: Sequence[str], negatives: Sequence[Sequence[str]]
) -> tuple[dict[str, set[Box]], dict[str, str]]:
    """The boxes of each name without its article, and how it is said with it."""
    named, told = defaultdict(set), dict[str, str]()
    for box, phrase, wrong in zip(boxes, phrases, negatives, strict=True):
        if not wrong:
            name = bare(phrase.lower())
            named[name].add(box)
            told.setdefault(name, phrase)
    return named, told


def _named_in(phrase: str, named: Mapping[str, set[Box]]) -> list[str]:
    """In the order in which they are said; of names within names the longest."""
    longest = sorted(named, key=len, reverse=True)
    return re.findall(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)", phrase.lower())
