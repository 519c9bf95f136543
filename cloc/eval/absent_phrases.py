"""Phrases of a picture beside phrases of other pictures: what is there, and what is not."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cloc.eval.encode import same_texts
from cloc.interfaces import Embedder, Example, Split

Pool = Sequence[tuple[str, str]]  # every phrase with its label


class Query(NamedTuple):
    """A phrase asked of a picture."""

    phrase: str
    is_there: bool
    name: str  # KEY:NUMBER OF THE BOX, or KEY:not:NUMBER


def with_absent(
    embedder: Embedder, split: Split, *, seed: int
) -> tuple[list[Example], list[list[Query]]]:
    """Pictures with phrases, and of each its unique phrases and as many that other pictures have.

    Which, `seed` and the picture's place say. None of them is read by the embedder like one of the
    picture's own, nor is of a class that a box of the picture shows. Where there are too few, the
    picture's own phrases are as few; without any, the picture is left out.
    """
    phrased = [example for example in split.examples if any(example.phrases)]
    pool = [
        pair
        for example in phrased
        for pair in dict.fromkeys(zip(example.phrases, example.labels, strict=True))
        if pair[0]
    ]
    numbers, _ = same_texts(embedder, [phrase for phrase, _ in pool])
    number_of = {phrase: number for (phrase, _), number in zip(pool, numbers, strict=True)}
    examples, queries = [], []
    for i, example in enumerate(phrased):
        own = _own(example, number_of)
        order = np.random.default_rng((seed, i)).permutation(len(pool))
        absent = _absent(example, [pool[at] for at in order], number_of, at_most=len(own))
        if absent:
            examples.append(example)
            there = [Query(text, True, f"{example.key}:{at}") for at, text in own[: len(absent)]]
            names = [f"{example.key}:not:{number}" for number in range(len(absent))]
            not_there = [Query(t, False, name) for t, name in zip(absent, names, strict=True)]
            queries.append(there + not_there)
    return examples, queries


def _own(example: Example, number_of: Mapping[str, int]) -> list[tuple[int, str]]:
    """Its unique phrases, each after the number of its first box."""
    found: dict[int, tuple[int, str]] = {}
    for at, phrase in enumerate(example.phrases):
        if phrase:
            found.setdefault(number_of[phrase], (at, phrase))
    return list(found.values())


def _absent(
    example: Example, pool: Pool, number_of: Mapping[str, int], *, at_most: int
) -> list[str]:
    """The first different ones of `pool` that are not this picture's."""
    taken = {number_of[phrase] for phrase in example.phrases if phrase}
    labels = {label for label in example.labels if label}
    found: list[str] = []
    for phrase, label in pool:
        if len(found) == at_most:
            break
        if number_of[phrase] not in taken and label not in labels:
            taken.add(number_of[phrase])
            found.append(phrase)
    return found
