"""How solids with a front of their own look from the four sides; see `shapes`."""

from collections.abc import Iterator

import numpy as np

from cloc.data.samples.relations import AWAY, TO_THE_LEFT, TO_THE_RIGHT, TOWARDS
from cloc.scenes.depth.shapes import DARK, LIGHT, Layer, ellipse, round_tone


def car(x: np.ndarray, y: np.ndarray, facing: int) -> Iterator[Layer]:
    """Bright lamps and a bright windscreen in front, a dark window and a number plate behind."""
    if facing in (TO_THE_LEFT, TO_THE_RIGHT):
        yield from _car_aside(x if facing == TO_THE_LEFT else -x, y)
        return
    ahead = facing == TOWARDS
    yield Layer((abs(abs(x) - 0.55) <= 0.17) & (y >= 0.5) & (y <= 0.9), grey=DARK)
    yield Layer((abs(x) <= 0.62 - 0.25 * (-0.05 - y)) & (y >= -0.8) & (y <= -0.05), 0.95)
    yield Layer((abs(x) <= 0.78) & (y > -0.05) & (y <= 0.66), 0.8 - 0.12 * x)
    window = (abs(x) <= 0.5 - 0.25 * (-0.1 - y)) & (y >= -0.66) & (y <= -0.1)
    yield Layer(window, grey=225 if ahead else 60)
    if ahead:
        yield Layer(ellipse(abs(x) - 0.52, y - 0.2, 0.2, 0.2), grey=LIGHT)
        yield Layer((abs(x) <= 0.24) & (y >= 0.15) & (y <= 0.4), grey=DARK)
    else:
        yield Layer((abs(x) <= 0.3) & (y >= 0.22) & (y <= 0.46), grey=LIGHT)
    yield Layer((abs(x) <= 0.78) & (y >= 0.52) & (y <= 0.66), 0.4)


def _car_aside(x: np.ndarray, y: np.ndarray) -> Iterator[Layer]:
    """Its front to the left."""
    cabin = (y >= -0.62) & (y <= -0.05)
    slant = -0.05 - y
    yield Layer(cabin & (x >= -0.42 + 0.6 * slant) & (x <= 0.8 - 0.2 * slant), 1.05)
    pane = (y >= -0.5) & (y <= -0.08) & (abs(x - 0.2) > 0.05)
    yield Layer(pane & (x >= -0.28 + 0.6 * slant) & (x <= 0.66 - 0.2 * slant), grey=205.0)
    body = (abs(x) <= 0.98) & (y >= -0.05) & (y <= 0.42)
    yield Layer(body & ~((x < -0.8) & (y < 0.06)), 0.86 - 0.4 * (y - 0.1))
    yield Layer((x <= -0.76) & (x >= -0.98) & (y >= 0.06) & (y <= 0.26), grey=LIGHT)
    for middle in (-0.56, 0.56):
        yield Layer(ellipse(x - middle, y - 0.42, 0.27, 0.27), grey=DARK)
        yield Layer(ellipse(x - middle, y - 0.42, 0.11, 0.11), grey=190.0)


def duck(x: np.ndarray, y: np.ndarray, facing: int) -> Iterator[Layer]:
    """Beak and eyes in front, a bright tail behind."""
    if facing in (TO_THE_LEFT, TO_THE_RIGHT):
        yield from _duck_aside(x if facing == TO_THE_LEFT else -x, y)
        return
    yield Layer(ellipse(x, y - 0.4, 0.78, 0.58), round_tone(x / 0.78))
    yield Layer(ellipse(x, y + 0.42, 0.5, 0.52), 0.1 + round_tone(x / 0.5))
    if facing == AWAY:
        tail = (abs(x) <= 0.32 * (y + 0.1) / 0.5) & (y >= -0.1) & (y <= 0.4)
        yield Layer(tail, 1.25)
        return
    yield Layer(ellipse(x, y + 0.25, 0.32, 0.16), accent=1)
    yield Layer(ellipse(abs(x) - 0.22, y + 0.58, 0.11, 0.13), accent=1)


def _duck_aside(x: np.ndarray, y: np.ndarray) -> Iterator[Layer]:
    """Its front to the left."""
    yield Layer((x >= 0.3) & (x <= 0.98) & (abs(y - 0.2) <= 0.9 * (x - 0.5)) & (y <= 0.5), 0.85)
    yield Layer(ellipse(x - 0.1, y - 0.42, 0.78, 0.52), 1.0 - 0.45 * (y - 0.1))
    yield Layer(ellipse(x - 0.28, y - 0.4, 0.36, 0.22), 0.62)
    yield Layer(ellipse(x + 0.35, y + 0.42, 0.46, 0.48), 1.08 - 0.3 * (y + 0.4))
    yield Layer((x >= -1) & (x <= -0.66) & (abs(y + 0.35) <= 0.6 * (x + 1)), accent=1)
    yield Layer(ellipse(x + 0.5, y + 0.52, 0.1, 0.12), accent=1)


def chair(x: np.ndarray, y: np.ndarray, facing: int) -> Iterator[Layer]:
    """The rest is behind the seat; seen from its back it hides the seat."""
    if facing in (TO_THE_LEFT, TO_THE_RIGHT):
        yield from _chair_aside(x if facing == TO_THE_LEFT else -x, y)
        return
    yield Layer((abs(abs(x) - 0.42) <= 0.07) & (y >= 0.1) & (y <= 0.75), 0.4)
    seat = (abs(x) <= 0.66 - 0.25 * (0.4 - y)) & (y >= 0) & (y <= 0.4)
    rest = (abs(x) <= 0.6) & (y >= -0.96)
    if facing == TOWARDS:
        yield Layer(rest & (y <= 0.05) & (abs(abs(x) - 0.22) > 0.09), 0.62)
        yield Layer(rest & (y <= -0.75), 0.62)
        yield Layer(seat, 1.2)
        yield Layer((abs(x) <= 0.66) & (y >= 0.36) & (y <= 0.5), 0.75)
        yield Layer((abs(abs(x) - 0.58) <= 0.08) & (y >= 0.45) & (y <= 0.97), 0.6)
        return
    yield Layer((abs(abs(x) - 0.54) <= 0.08) & (y >= 0.3) & (y <= 0.97), 0.55)
    yield Layer(rest & (y <= 0.44), 0.88 - 0.12 * x)
    yield Layer((abs(x) <= 0.6) & (abs(y + 0.3) <= 0.08), 0.5)


def _chair_aside(x: np.ndarray, y: np.ndarray) -> Iterator[Layer]:
    """Its front to the left."""
    yield Layer((abs(abs(x) - 0.38) <= 0.07) & (y >= 0.1) & (y <= 0.78), 0.4)
    yield Layer((x >= 0.38) & (x <= 0.6) & (y >= -0.96) & (y <= 0.2), 0.8)
    yield Layer((x >= -0.62) & (x <= 0.6) & (y >= 0.02) & (y <= 0.22), 1.2)
    yield Layer((x >= -0.62) & (x <= 0.6) & (y > 0.22) & (y <= 0.36), 0.7)
    yield Layer((abs(abs(x) - 0.52) <= 0.09) & (y >= 0.3) & (y <= 0.97), 0.6)
