"""What a picture of WhereBench shows, decided from its pixels.

Nothing here knows how items are made: colours are looked for, words are taken by their meaning.
"""

import re
from functools import cache, cached_property
from itertools import product

import cv2
import numpy as np

from cloc.scenes.draw import mask
from cloc.scenes.kinds import COLOURS, SHAPES

NUMBERS = {"one": 1, "two": 2, "three": 3}
CONVERSE = {"right of": "left of", "below": "above", "behind": "in front of", "under": "on"}
CONVERSE["containing"] = "inside"
NOUN = re.compile(rf"(?:an?|the) ({'|'.join(COLOURS)}) (?:{'|'.join(SHAPES)})")
COUNTED = re.compile(rf"exactly (\w+) ({'|'.join(COLOURS)}) \w+ (left|right) of")


def fact(caption):
    """(word, colours or numbers ...), in one form for all ways of saying the same."""
    colours = tuple(found[1] for found in NOUN.finditer(caption))
    if counted := COUNTED.match(caption):
        return counted[3], NUMBERS[counted[1]], counted[2], colours[0]
    word = NOUN.sub("", caption).strip()
    if word.startswith("in the"):
        return word, *colours
    if word.startswith("between"):
        return "between", colours[0], *sorted(colours[1:])
    if word in CONVERSE:
        return CONVERSE[word], *colours[::-1]
    return word, *colours


class Seen:
    """One picture, uint8 [height, width, 3]."""

    def __init__(self, pixels):
        self.pixels = pixels.astype(int)
        self.side = len(pixels)

    @cached_property
    def coloured(self):
        """What is not grey: shapes with most of their soft rims."""
        return np.ptp(self.pixels, -1) > 25

    @cached_property
    def pure(self):
        seen = self.pixels[self.coloured]
        near = (abs(seen[:, None] - np.array(list(COLOURS.values()))) <= 16).all(-1)
        found = {}
        for i, colour in enumerate(COLOURS):
            if near[:, i].sum() >= 5:
                found[colour] = np.zeros(self.coloured.shape, bool)
                found[colour][self.coloured] = near[:, i]
        return found

    @cached_property
    def masks(self):
        """Of each colour that is there, its pixels and the soft rims that are nearest to them."""
        away = [
            cv2.distanceTransform((~found).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            for found in self.pure.values()
        ]
        nearest = np.argmin(away, 0) if away else None
        return {colour: self.coloured & (nearest == i) for i, colour in enumerate(self.pure)}

    @cached_property
    def parts(self):
        """Colour -> boxes of what is connected; where shapes of two colours do not touch."""
        _, labels, stats, _ = cv2.connectedComponentsWithStats(self.coloured.astype(np.uint8))
        found = {colour: [] for colour in self.masks}
        for number, (x, y, w, h, area) in enumerate(stats[1:], 1):
            inside = {c: m[labels == number].sum() for c, m in self.masks.items()}
            if area >= 12:
                found[max(inside, key=inside.get)].append((x, y, x + w, y + h))
        return found

    @cached_property
    def boxes(self):
        return {colour: box_of(found) for colour, found in self.masks.items()}

    @cached_property
    def wholeness(self):
        """How well the pure pixels of each colour are those of a whole shape, at its best place."""
        return {colour: self._wholeness(self.pure[colour]) for colour in self.masks}

    @staticmethod
    def _wholeness(found):
        x0, y0, x1, y1 = box_of(found)
        if max(x1 - x0, y1 - y0) > 0.4 * len(found):  # not one shape
            return 0.0
        room = np.pad(found, 6)
        best = 0.0
        for side in range(max(x1 - x0, y1 - y0), max(x1 - x0, y1 - y0) + 5):  # tips are not pure
            shapes = silhouettes(side)
            for up, left in product(range(side - (y1 - y0) + 1), range(side - (x1 - x0) + 1)):
                top, start = y0 - up + 6, x0 - left + 6
                seen = room[max(top, 0) : top + side, max(start, 0) : start + side]
                if seen.shape == (side, side):
                    shared = (shapes & seen).sum((1, 2)) / (shapes | seen).sum((1, 2))
                    best = max(best, shared.max())
        return best

    def holds(self, said):
        """Whether what `fact` gives is true here, with a margin."""
        word, *about = said
        if word == "between":
            return self._between(*about)
        if word in ("left", "right"):
            number, many, other = about
            return self.count(word, many, other) == number
        if word.startswith("in the"):
            return place_of(self.boxes[about[0]], self.side) == word
        a, b = (self.boxes[colour] for colour in about)
        return getattr(self, word.replace(" ", "_"))(a, b, *about)

    @staticmethod
    def left_of(a, b, *_):
        (x, y), (u, v) = centre(a), centre(b)
        return a[2] < b[0] and abs(y - v) < abs(x - u) / 2

    @staticmethod
    def above(a, b, *_):
        (x, y), (u, v) = centre(a), centre(b)
        return a[3] < b[1] and abs(x - u) < abs(y - v) / 2

    def in_front_of(self, a, b, first, second):
        touching = a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]
        return touching and self.wholeness[first] > self.wholeness[second]

    def inside(self, a, b, _, ring):
        """Within its box, and some of the ring on the way out to all four sides."""
        if not (b[0] < a[0] and b[1] < a[1] and a[2] < b[2] and a[3] < b[3]):
            return False
        x, y = (int(c) for c in centre(a))
        around = self.masks[ring]
        return all(s.any() for s in (around[y, :x], around[y, x:], around[:y, x], around[y:, x]))

    @staticmethod
    def outside(a, b, *_):
        return a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]

    def on(self, a, b, *_):
        """Tips of a pixel or two are too soft to be of the colour."""
        gap = (b[1] - a[3]) / self.side
        return -0.02 < gap < 0.08 and abs(centre(a)[0] - centre(b)[0]) < self.side / 20

    def _between(self, middle, *ends):
        m, e, f = (np.array(centre(self.boxes[colour])) for colour in (middle, *ends))
        if (e == f).all():
            return False
        along = (m - e) @ (f - e) / ((f - e) @ (f - e))
        aside = np.linalg.norm(m - e - along * (f - e))
        return 0.25 < along < 0.75 and aside < self.side / 12

    def count(self, side, many, other):
        edge = self.boxes[other]
        if side == "left":
            return sum(part[2] < edge[0] for part in self.parts[many])
        return sum(part[0] > edge[2] for part in self.parts[many])

    def directly(self, box, word, other):
        """Whether a shape of colour `other` stands so beside `box` ("left of", "above", ...)."""
        return any(_directly(box, part, word) for part in self.parts[other])


def _directly(a, b, word):
    if word in ("right of", "below"):
        word, a, b = CONVERSE[word], b, a
    along, across = (0, 1) if word == "left of" else (1, 0)
    shared = min(a[across + 2], b[across + 2]) - max(a[across], b[across])
    least = min(a[across + 2] - a[across], b[across + 2] - b[across])
    return a[along + 2] < b[along] and shared >= 0.6 * least


def box_of(found):
    rows, columns = found.any(1).nonzero()[0], found.any(0).nonzero()[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def place_of(box, side):
    """The quarter that it lies in, None where it is in more than one."""
    x0, y0, x1, y1 = (c / side for c in box)
    if x0 < 0.5 < x1 or y0 < 0.5 < y1:
        return None
    return f"in the {'upper' if y1 <= 0.5 else 'lower'} {'left' if x1 <= 0.5 else 'right'} quarter"


@cache
def silhouettes(side):
    """Of every shape the pixels that it colours (nearly) by itself."""
    return np.stack([mask(shape, side, 1024).alpha >= 236 for shape in SHAPES])
