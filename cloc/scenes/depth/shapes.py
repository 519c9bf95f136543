"""How solids without a front look: layers of a square, seen a little from above, lit from the left.

Coordinates run from -1 to 1, across to the right and down. Only sums, products, square roots and
comparisons decide about pixels, so they are equal on every machine.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

DARK, LIGHT = 40.0, 250.0  # greys


class Layer(NamedTuple):
    """Painted over the layers before it, where `inside`; a pixel is
    `colour * own colour + accent * accent colour + grey`."""

    inside: np.ndarray  # bool [height, width]
    colour: np.ndarray | float = 0.0
    grey: np.ndarray | float = 0.0
    accent: float = 0.0  # the share of a colour that stands out: dark on bright ones, else light
    front: bool = False  # of a holder: it hides what is held


def ellipse(x: np.ndarray, y: np.ndarray, across: float, down: float) -> np.ndarray:
    return x * x / (across * across) + y * y / (down * down) <= 1


def round_tone(x: np.ndarray) -> np.ndarray:
    """Of a cylinder from -1 to 1: bright a little left of its middle, dark on the right."""
    x = np.clip(x, -1, 1)
    tone: np.ndarray = 0.52 - 0.34 * x + 0.42 * np.sqrt(1 - x * x)
    return tone


def ball(x: np.ndarray, y: np.ndarray) -> Iterator[Layer]:
    inside = ellipse(x, y, 1, 1)
    towards = np.sqrt(np.maximum(1 - x * x - y * y, 0))
    lit = np.maximum(0.62 * towards - 0.46 * x - 0.6 * y, 0)
    yield Layer(inside, 0.42 + 0.62 * lit, 900 * np.maximum(lit - 0.86, 0))


def cone(x: np.ndarray, y: np.ndarray) -> Iterator[Layer]:
    half = np.maximum(0.42 * (y + 1), 1e-3)  # a half of its width there
    inside = (abs(x) <= half) & (y <= 0.8) | ellipse(x, y - 0.8, 0.756, 0.2)
    yield Layer(inside, round_tone(x / np.minimum(half, 0.756)))


def cup(x: np.ndarray, y: np.ndarray) -> Iterator[Layer]:
    ring = ellipse(x - 0.5, y - 0.1, 0.5, 0.5) & ~ellipse(x - 0.5, y - 0.1, 0.27, 0.27)
    yield Layer(ring & (x > 0.2), 0.55)
    body = (abs(x + 0.2) <= 0.75) & (abs(y) <= 0.8)
    body |= ellipse(x + 0.2, y - 0.8, 0.75, 0.2)
    yield Layer(body, round_tone((x + 0.2) / 0.75))
    yield Layer(ellipse(x + 0.2, y + 0.8, 0.75, 0.2), 1.12)
    yield Layer(ellipse(x + 0.2, y + 0.78, 0.6, 0.14), 0.35)


def bottle(x: np.ndarray, y: np.ndarray) -> Iterator[Layer]:
    body = (abs(x) <= 0.45) & (y >= -0.1) & (y <= 0.86) | ellipse(x, y - 0.86, 0.45, 0.12)
    shoulder = ellipse(x, y + 0.1, 0.45, 0.32) & (y < -0.1)
    neck = (abs(x) <= 0.17) & (y >= -0.95) & (y <= 0)
    yield Layer(body | shoulder, round_tone(x / 0.45))
    yield Layer(neck, round_tone(x / 0.17))
    yield Layer((abs(x) <= 0.22) & (y <= -0.72), grey=DARK)
    yield Layer((abs(x) <= 0.45) & (y >= 0.15) & (y <= 0.6), 0.25, 170 - 50 * x)  # the label


def bowl(x: np.ndarray, y: np.ndarray) -> Iterator[Layer]:
    opening = ellipse(x, y + 0.25, 1, 0.36)
    yield Layer(opening, 0.62 + 0.2 * x)
    yield Layer(ellipse(x, y + 0.2, 0.86, 0.27), 0.38 + 0.16 * x)
    body = ellipse(x, y + 0.25, 1, 0.98) & (y > -0.25) & ~opening
    foot = (abs(x) <= 0.45) & (y > 0.5) & (y <= 0.78)
    yield Layer(body | foot, round_tone(x), front=True)
    rim = ellipse(x, y + 0.19, 1, 0.38) & ~opening & (y > -0.25)
    yield Layer(rim, 1.15, front=True)


def basket(x: np.ndarray, y: np.ndarray) -> Iterator[Layer]:
    opening = ellipse(x, y + 0.4, 0.98, 0.34)
    half = 0.98 - 0.2 * (y + 0.4)
    yield Layer(opening, 0.62)
    yield Layer(ellipse(x, y + 0.35, 0.84, 0.25), 0.36)
    body = (abs(x) <= half) & (y > -0.4) & (y <= 0.7) | ellipse(x, y - 0.7, 0.76, 0.2)
    across, down = np.floor(x / half * 5 + 8), np.floor(y * 6 + 8)
    woven = np.where((across + down) % 2 == 0, 1.0, 0.62)
    yield Layer(body & ~opening, round_tone(x / half) * woven, front=True)
    rim = ellipse(x, y + 0.3, 0.98, 0.36) & ~opening & (y > -0.4)
    yield Layer(rim, 1.1, front=True)


def box(x: np.ndarray, y: np.ndarray) -> Iterator[Layer]:
    yield Layer((abs(x) <= 0.9) & (abs(y - 0.425) <= 0.475), 0.72)
    half = 0.9 - 0.45 * (-0.05 - y)
    yield Layer((abs(x) <= half) & (y >= -0.6) & (y <= -0.05), 1.15)
    yield Layer((abs(x) <= 0.9) & (abs(y + 0.03) <= 0.035), 0.5)
    yield Layer((abs(x) <= 0.09) & (y >= -0.6) & (y <= 0.3), 0.3, 110)  # a strip of tape


def table(x: np.ndarray, y: np.ndarray) -> Iterator[Layer]:
    yield Layer((abs(abs(x) - 0.62) <= 0.06) & (y >= -0.4) & (y <= 0.62), 0.38)
    yield Layer((abs(abs(x) - 0.86) <= 0.09) & (y >= -0.3) & (y <= 0.96), 0.62, front=True)
    half = 1 - 0.5 * (-0.42 - y)
    yield Layer((abs(x) <= half) & (y >= -0.9) & (y <= -0.42), 1.12, front=True)
    yield Layer((abs(x) <= 1) & (y >= -0.42) & (y <= -0.28), 0.7, front=True)


# Where the lowest point of what is held is, in hundredths from -100 (top) to 100.
HELD_AT = {("bowl", "in"): 28, ("basket", "in"): 12, ("box", "on"): -25}
HELD_AT |= {("table", "on"): -55, ("table", "under"): 84}
