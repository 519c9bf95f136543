"""What is asked about an annotated picture, and where in it the answer lies."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import PIL.Image
from PIL.Image import Resampling

from cloc.errors import UserError
from cloc.interfaces import Example

KEY, SLOT = "question", "{phrase}"
DEFAULT = f"Where is the {SLOT}?"


class Question(NamedTuple):
    """`boxes` [n 4] are fractions of the picture, those that the answer lies in; none where nobody
    has said."""

    example: Example
    text: str
    boxes: np.ndarray

    def picture(self, *, square: bool) -> PIL.Image.Image:
        """Read when it is asked for. Of a model that crops or pads a picture to a square its own
        shape is lost: it is given one, and a box is the same fraction of it."""
        image = self.example.image
        side = max(image.size)
        return image.resize((side, side), Resampling.BICUBIC) if square else image


def questions(examples: Iterable[Example], text: str) -> Iterator[Question]:
    """With {phrase} in `text`: of each picture the phrase of its first region, and all boxes of
    that phrase, whose own article is dropped behind a "the"; pictures without a region are left
    out. Else all boxes of a picture."""
    if not text.strip():
        raise UserError(f"{KEY}={text}; give words, as {DEFAULT}")
    for example in examples:
        boxes, asked = np.asarray(example.boxes, np.float64).reshape(-1, 4), text
        if SLOT in text:
            if not example.phrases:
                continue
            first = example.phrases[0]
            boxes = boxes[[phrase == first for phrase in example.phrases]]
            asked = _filled(text, first)
        width, height = example.size or example.image.size
        yield Question(example, asked, boxes / [width, height, width, height])


def _filled(text: str, phrase: str) -> str:
    article, _, rest = phrase.partition(" ")
    bare = rest if article.lower() in ("a", "an", "the") and rest else phrase
    slot = rf"(\b[Tt]he )?{re.escape(SLOT)}"
    return re.sub(slot, lambda found: f"{found[1]}{bare}" if found[1] else phrase, text)
