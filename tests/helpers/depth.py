"""What is true of a scene with depth, decided from its record alone: slow, by rules of its own.

Things are put on a map of the ground seen from above: x to the right, z away from the viewer.
"""

import re

import numpy as np

WORDS = re.compile(
    r"\b(left of|right of|in front of|behind|own \w+|in|on|under|beside|near\w+|farther|farthest"
    r"|leftmost|rightmost)\b"
)
NOUN = r"(?:an?|the) (\w+ \w+)"
PLAIN = re.compile(
    rf"{NOUN} (directly left of|directly right of|directly in front of|directly behind|left of"
    rf"|right of|nearer than|farther away than|in|on|under|beside) {NOUN}( from the viewer)?"
)
OWN = re.compile(rf"{NOUN} (?:on|at) {NOUN}'s own (left|right|front|back)")
RANKED = re.compile(r"the (\w+) of the (two|three|four|five) (\w+) (\w+?)(?:e?s)")
NUMBERS = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5}
FRONTS = {"away": (0, 1), "towards": (0, -1), "to the left": (-1, 0), "to the right": (1, 0)}
FRONTED = ("car", "duck", "chair")


def words_of(text):
    """The words of relations in it."""
    return WORDS.findall(text)


def visible_masks(record):
    """bool [height, width] of each region, from COCO's run lengths."""
    found = []
    for thing in record.meta["things"]:
        runs = [int(number) for number in thing["visible"].split()]
        inside = np.arange(len(runs)) % 2 == 1
        found.append(np.repeat(inside, runs).reshape(record.width, record.height).T)
    return found


class Truth:
    """Of one record; things are numbers of regions."""

    def __init__(self, record):
        self.names = record.meta["objects"]
        self.things = record.meta["things"]
        self.boxes = np.array([region.box for region in record.regions]) / record.width

    def called(self, name):
        return [i for i, own in enumerate(self.names) if own == name]

    def subjects(self, text, *, slack=0.0):
        """The things that a phrase is true of; with `slack`, those it may be true of."""
        if ranked := RANKED.fullmatch(text):
            return self._ranked(*ranked.groups(), slack=slack)
        if own := OWN.fullmatch(text):
            name, other, word = own.groups()
            return self._those(name, other, lambda a, b: self.on_own(a, word, b, slack))
        name, word, other, framed = PLAIN.fullmatch(text).groups()
        views = ("left", "right", "front", "behind")
        if other.split()[1] in FRONTED and any(view in word for view in views):
            assert framed  # whose left it is must be said
        else:
            assert not framed
        return self._those(name, other, lambda a, b: self.stands(a, word, b, slack))

    def _those(self, name, other, test):
        mine, others = self.called(name), self.called(other)
        return {a for a in mine if any(a != b and test(a, b) for b in others)}

    def stands(self, a, word, b, slack):
        if word in ("in", "on", "under"):
            return self.things[a]["holder"] == b and self.things[a]["held"] == word
        if word == "beside":
            sides = ("left of", "right of")
            return any(self.directly(a, side, b, slack) for side in sides)
        if word in ("nearer than", "farther away than"):
            return self.lead(a, b, word == "nearer than") >= 1.1 - slack / 5
        if word.startswith("directly"):
            return self.directly(a, word.removeprefix("directly "), b, slack)
        return self.aside(a, word.split()[0], b, slack)

    def directly(self, a, word, b, slack):
        if self.held(a) or self.held(b) or not self.near(a, b, slack):
            return False
        x, z = self.step(b, a)
        if word in ("left of", "right of"):
            level = abs(z) <= (0.55 + slack) * abs(x)
            return level and self.aside(a, word.split()[0], b, slack)
        closer = z < 0 if word == "in front of" else z > 0
        return closer and abs(x) <= (0.55 + slack) * abs(z)

    def held(self, a):
        return self.things[a]["holder"] is not None

    def aside(self, a, side, b, slack):
        """Of the way between middles at which the two would touch."""
        (a0, _, a1, _), (b0, _, b1, _) = self.boxes[a], self.boxes[b]
        way = (b0 + b1 - a0 - a1) / (a1 - a0 + b1 - b0) * (1 if side == "left" else -1)
        return way >= 0.8 - slack

    def near(self, a, b, slack):
        """How far apart the feet are, in largest sides."""
        (ax, _, az, ay), (bx, _, bz, by) = self.boxes[a], self.boxes[b]
        sides = np.concatenate([self.boxes[i][2:] - self.boxes[i][:2] for i in (a, b)])
        apart = np.hypot((ax + az - bx - bz) / 2, ay - by)
        return apart <= (2.6 + slack) * sides.max()

    def lead(self, a, b, nearer):
        near, far = (a, b) if nearer else (b, a)
        return self.things[far]["distance"] / self.things[near]["distance"]

    def step(self, start, end):
        """On the ground, from one to the other: the lower edge of the picture is as wide as it is
        away."""
        spots = []
        for i in (end, start):
            away = self.things[i]["distance"] / 1000
            spots.append(np.array([((self.boxes[i][0] + self.boxes[i][2]) / 2 - 0.5) * away, away]))
        return spots[0] - spots[1]

    def on_own(self, a, side, b, slack):
        """By turning the way from `b` to `a` into the frame of `b`, its front ahead."""
        step, front = self.step(b, a), np.array(FRONTS[self.things[b]["facing"]])
        left = np.array([-front[1], front[0]])
        ahead, aside = step @ front, step @ left
        along = {"front": ahead, "back": -ahead, "left": aside, "right": -aside}[side]
        across = aside if side in ("front", "back") else ahead
        return along > 0 and abs(across) <= (0.55 + slack) * along and self.near(a, b, slack)

    def _ranked(self, rank, number, colour, shape, slack):
        shape = shape if f"{colour} {shape}" in self.names else shape + "e"
        things = self.called(f"{colour} {shape}")
        assert len(things) == NUMBERS[number]
        if rank in ("leftmost", "rightmost"):
            lead = {i: self.boxes[i][0] * (1 if rank == "leftmost" else -1) for i in things}
            margin = {i: (0.4 - slack) * (self.boxes[i][2] - self.boxes[i][0]) for i in things}
            first = [
                i for i in things if all(lead[i] + margin[i] <= lead[j] for j in things if j != i)
            ]
            return set(first)
        nearer = rank.startswith("near")
        others = {i: [j for j in things if j != i] for i in things}
        return {
            i for i in things if all(self.lead(i, j, nearer) >= 1.1 - slack / 5 for j in others[i])
        }

    def listed(self, text):
        """Whether there are just so many of each thing of "two red balls, a blue box and ..."."""
        for part in re.split(r", | and ", text):
            number, colour, noun = part.split(" ")
            if NUMBERS[number] > 1:
                noun = noun.removesuffix("es") if noun.endswith("xes") else noun.removesuffix("s")
            if len(self.called(f"{colour} {noun}")) != NUMBERS[number]:
                return False
        return True
