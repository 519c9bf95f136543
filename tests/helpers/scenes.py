"""What is true of a scene, decided from drawn pixels: slow, and by rules of its own."""

import io
import re
from itertools import permutations
from random import Random

import numpy as np
import PIL.Image

from cloc.scenes.draw import paste
from cloc.scenes.layout import draw_layout

SIZE = 64
FLAT = (0, 0, 0)
SENTENCE = re.compile(
    r"(?:an?|the) (.+?) (left of|right of|above|below|in front of|behind|inside) (?:an?|the) (.+)"
)
OPPOSITE = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "in front of": "behind",
    "behind": "in front of",
}
NUMBERS = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}


def make_layouts(count, *, twins=0.4, held_out="never", size=SIZE):
    """Layouts of a fixed seed."""
    rng = Random(7)
    return [
        draw_layout(rng, size, twins=rng.random() < twins, held_out=held_out) for _ in range(count)
    ]


def decoded(record):
    """RGB pixels of a record, [height, width, 3]."""
    return np.asarray(PIL.Image.open(io.BytesIO(record.image)))


def encoded(pixels):
    """RGB pixels as a PNG."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


class Pixels:
    """A scene painted on a flat ground, every object also alone; indices are painting order."""

    def __init__(self, layout, size=SIZE):
        self.words = [thing.kind.full.split() for thing in layout.things]
        self.alone = [self._painted([thing], size) for thing in layout.things]
        self.covers = [(image != FLAT).any(-1) for image in self.alone]
        self.final = self._painted(layout.things, size)

    @staticmethod
    def _painted(things, size):
        canvas = PIL.Image.new("RGB", (size, size), FLAT)
        for thing in things:
            paste(canvas, thing.kind, side=thing.side, at=(thing.x, thing.y))
        return np.asarray(canvas).astype(int)

    def matches(self, noun):
        """Objects that a noun ("red star", "small solid red star") can mean."""
        wanted = noun.split()
        return [i for i, words in enumerate(self.words) if words[-len(wanted) :] == wanted]

    def visible_share(self, i):
        """Of the object's pixels, those that nothing later paints on."""
        later = np.any(self.covers[i + 1 :], 0) if self.covers[i + 1 :] else False
        return (self.covers[i] & ~later).sum() / self.covers[i].sum()

    def lead(self, a, relation, b):
        """Share of pixel pairs of `a` and `b` that stand as the word says; ties are half."""
        axis = 1 if relation in ("left of", "right of") else 0
        pa, pb = (self.covers[i].nonzero()[axis] for i in (a, b))
        before = np.subtract.outer(pa, pb)
        share = (before < 0).mean() + (before == 0).mean() / 2
        return share if relation in ("left of", "above") else 1 - share

    def wins(self, a, b):
        """Pixels of both `a` and `b` where the scene shows `a`."""
        shared = self.covers[a] & self.covers[b]
        return (shared & (self.final == self.alone[a]).all(-1)).sum()

    def enclosed(self, a, b):
        """Whether `a` cannot reach the rim of the image without crossing `b`."""
        if self.words[b][-1] != "ring" or (self.covers[a] & self.covers[b]).any():
            return False  # nothing else has a hole
        free = np.pad(~self.covers[b], 1, constant_values=True)
        outside = np.zeros_like(free)
        outside[0, 0] = True
        while True:  # one step in four directions until nothing changes
            grown = outside.copy()
            grown[1:] |= outside[:-1]
            grown[:-1] |= outside[1:]
            grown[:, 1:] |= outside[:, :-1]
            grown[:, :-1] |= outside[:, 1:]
            grown &= free
            if (grown == outside).all():
                return not (outside[1:-1, 1:-1] & self.covers[a]).any()
            outside = grown

    def holds(self, a, relation, b):
        """True with a margin."""
        if relation == "inside":
            return self.enclosed(a, b)
        if relation == "in front of":
            return self.wins(a, b) >= 5 and self.wins(b, a) == 0
        if relation == "behind":
            return self.holds(b, "in front of", a)
        return self.lead(a, relation, b) >= 0.8

    def may_hold(self, a, relation, b):
        """Not false with a margin."""
        if relation == "in front of":
            return self.wins(a, b) > 0
        if relation == "behind":
            return self.wins(b, a) > 0
        return self.lead(a, relation, b) > 0.35

    def subjects(self, sentence, *, test):
        """Objects that `sentence` is true of: some other object stands to it as it says."""
        noun, relation, other = SENTENCE.fullmatch(sentence).groups()
        pairs = permutations(range(len(self.words)), 2)
        mine, others = self.matches(noun), self.matches(other)
        return {a for a, b in pairs if a in mine and b in others and test(a, relation, b)}

    def lists_truly(self, sentence):
        """Whether there are so many of each thing of "two red stars, a blue ring and ..."."""
        for part in re.split(r", | and ", sentence):
            number, noun = part.split(" ", 1)
            if NUMBERS[number] > 1:
                noun = noun.removesuffix("es") if noun.endswith("sses") else noun.removesuffix("s")
            if len(self.matches(noun)) < NUMBERS[number]:
                return False
            if NUMBERS[number] > 1 and len(self.matches(noun)) != NUMBERS[number]:
                return False
        return True
