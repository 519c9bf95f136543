"""Requests in other words than those that shards can answer. They have no answer here: from their
own words a router learns which expert they are for, so that what is asked freely finds it too."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from cloc.decoder.questions import bare

PROMPT = "prompt"
FOR_BOXES = (
    "find the {name}",
    "locate the {name} in the picture",
    "show me where the {name} is",
    "give the box of the {name}",
    "in which part of the picture is the {name}?",
    "draw a box around the {name}",
    "where can i see the {name}?",
    "what are the coordinates of the {name}?",
)
FOR_WORDS = (
    "how many things are there?",
    "how many are like the {name}?",
    "is there a {name}?",
    "are there any things like the {name}?",
    "what colour is the {name}?",
    "what does the {name} look like?",
    "describe the picture",
    "describe the {name}",
    "what is this a picture of?",
    "does the picture show a {name}?",
    "which things are in the picture?",
    "what is the {name} made of?",
    "tell me about the {name}",
    "what is the {name} doing?",
    "write a caption",
    "can the {name} move?",
)
FORMS = (*FOR_BOXES, *FOR_WORDS)


class Prompt(NamedTuple):
    """`grounds` says whether the answer has a box."""

    text: str
    grounds: bool


def prompts_of(
    phrases: Sequence[str], rng: np.random.Generator, forms: Sequence[str] = FORMS
) -> Iterator[Prompt]:
    """Of each phrase a request for a box and one for words, each in one of the `forms`."""
    for phrase in phrases:
        for kind in (FOR_BOXES, FOR_WORDS):
            if known := [form for form in kind if form in forms]:
                form = known[int(rng.integers(len(known)))]
                yield Prompt(form.format(name=bare(phrase)), kind is FOR_BOXES)
