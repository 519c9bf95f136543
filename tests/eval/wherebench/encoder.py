"""An encoder of pictures and captions that reads what pixels show, and nothing else."""

from itertools import permutations

import numpy as np
import torch
import torch.nn.functional as F

from cloc.interfaces import Prepared
from tests.eval.wherebench.reader import Seen, fact, place_of

DIMENSIONS = 2048


class Reader:
    """A dual encoder: one entry per fact, and a dot product counts the facts two of them share.

    Left and above are signed, by centres of mass, so that it answers about any picture.
    """

    def __init__(self, sign=1.0):
        self.sign = sign
        self.rows = {}

    def prepare(self, images, boxes):
        pixels = torch.stack([torch.from_numpy(np.asarray(image).copy()) for image in images])
        slots = max((len(own) for own in boxes), default=0)
        framed, valid = torch.zeros(len(images), slots, 4), torch.zeros(len(images), slots) > 0
        for row, (image, own) in enumerate(zip(images, boxes, strict=True)):
            framed[row, : len(own)] = torch.from_numpy(own) / image.width
            valid[row, : len(own)] = True
        return Prepared(pixels, framed, valid)

    def images(self, x):
        return self.sign * torch.stack([self.vector(self.seen(Seen(p.numpy()))) for p in x])

    def texts(self, texts):
        return torch.stack([self.vector(dict([self.signed(fact(text))])) for text in texts])

    def regions(self, x, boxes, valid):
        found = [
            self.vector(self.beside(Seen(pixels.numpy()), (box * len(pixels)).tolist()))
            for pixels, own in zip(x, boxes, strict=True)
            for box in own
        ]
        return self.sign * torch.stack(found).unflatten(0, boxes.shape[:2])

    def ground(self, x, phrases):
        return [
            torch.stack([self.found(Seen(pixels.numpy()), text) for text in own])
            for pixels, own in zip(x, phrases, strict=True)
        ]

    def found(self, seen, text):
        word, colour, other = fact(text)
        direction = word.removeprefix("directly ")
        parts = [p for p in seen.parts[colour] if seen.directly(p, direction, other)]
        return torch.tensor(parts[0]) / seen.side

    @staticmethod
    def beside(seen, box):
        facts = {}
        x0, y0, x1, y1 = (round(c) for c in box)
        inside = {c: m[y0:y1, x0:x1].sum() for c, m in seen.masks.items()}
        own = max(inside, key=inside.get, default=None)
        for other in seen.masks:
            for word in ("left of", "right of", "above", "below"):
                if other != own and seen.directly(box, word, other):
                    facts[f"directly {word}", own, other] = 1.0
        return facts

    @staticmethod
    def signed(said):
        """Of "a left of b" and "b left of a" one is the other with a minus."""
        word, *about = said
        if word in ("left of", "above") and about[0] > about[1]:
            return (word, *about[::-1]), -1.0
        return said, 1.0

    def seen(self, seen):
        facts = {}
        for a, b in permutations(seen.masks, 2):
            if a < b:
                (v, u), (y, x) = (np.argwhere(seen.masks[c]).mean(0) for c in (a, b))
                facts["left of", a, b], facts["above", a, b] = np.sign(x - u), np.sign(y - v)
            for word in ("in front of", "inside", "outside", "on"):
                facts[word, a, b] = seen.holds((word, a, b))
            for side in ("left", "right"):
                facts[side, seen.count(side, a, b), a, b] = True
        for middle, *ends in permutations(seen.masks, 3):
            facts["between", middle, *sorted(ends)] = seen.holds(("between", middle, *ends))
        for colour, box in seen.boxes.items():
            facts[place_of(box, seen.side), colour] = True
        return facts

    def vector(self, facts):
        out = torch.zeros(DIMENSIONS)
        for said, value in facts.items():
            out[self.rows.setdefault(said, len(self.rows))] = float(value)
        out[-1] = 1e-2  # all there is of a picture without a fact
        return F.normalize(out, dim=0)
