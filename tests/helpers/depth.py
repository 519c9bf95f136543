"""What is true of a scene with depth, decided from its record alone: slow, by rules of its own."""

import re

import numpy as np

WORDS = re.compile(
    r"\b(left of|right of|in front of|behind|own \w+|in|on|under|beside|near\w+|farther|farthest"
    r"|leftmost|rightmost)\b"
)


def words_of(text):
    """The words of relations in it."""
    return WORDS.findall(text)


def visible_masks(record):
    """bool [height, width] of each region, from COCO's run lengths."""
    found = []
    for thing in record.meta["things"]:
        runs = [int(number) for number in thing["visible"].split()]
        inside = np.arange(len(runs)) % 2 == 1
        flat = np.repeat(inside, runs)
        found.append(flat.reshape(record.width, record.height).T)
    return found
