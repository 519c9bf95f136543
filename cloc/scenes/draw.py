"""How scenes look: antialiased stamps of every kind, made once, pasted on a neutral background.

Only sums, products and comparisons decide about pixels, so they are equal on every machine.
"""

import math
from collections.abc import Callable
from functools import cache
from random import Random
from typing import NamedTuple

import numpy as np
import PIL.Image

from cloc.scenes.kinds import COLOURS, Kind

SUPERSAMPLING = 8
RING_HOLE = 0.65  # of the outer radius: the smallest square fits the hole of the larger rings
BASE_SIZE = 64  # pixels of the image that SIDES are given for
SIDES = {"small": (12, 15), "large": (22, 30)}


class Mask(NamedTuple):
    """One shape at one size, cut to its tight extent."""

    alpha: np.ndarray  # uint8 [height, width]; no row or column at the rim is empty
    width: int
    height: int
    bits: int  # the pixels it changes: bit `y * image_size + x`
    core: int  # those it hides what is behind in: all but the soft rim


def side_range(size_name: str, image_size: int) -> tuple[int, int]:
    """Least and greatest side in pixels of a "small" or "large" shape, both included."""
    low, high = SIDES[size_name]
    return round(low * image_size / BASE_SIZE), round(high * image_size / BASE_SIZE)


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Five points that reach all four sides; even-odd rule."""
    turns = [math.pi * i / 5 for i in range(10)]
    radii = [1.0, 0.42] * 5
    raw = [(r * math.sin(t), -r * math.cos(t)) for r, t in zip(radii, turns, strict=True)]
    wide, low = math.sin(math.pi * 2 / 5), math.cos(math.pi / 5)
    # rounded, so that the last bit of a sine cannot differ between machines
    corners = [(round(u / wide, 4), round((v + 1) * 2 / (1 + low) - 1, 4)) for u, v in raw]
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), bool)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & ((x - x0) * (y1 - y0) * (y1 > y0) < (y - y0) * (x1 - x0) * (y1 > y0))
        inside ^= crosses & ((x - x0) * (y1 - y0) * (y1 < y0) > (y - y0) * (x1 - x0) * (y1 < y0))
    return inside


def _moon(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A crescent, x from -1 to 0.725: the unit disc without that of radius 0.7 about (0.6, 0)."""
    return (x * x + y * y <= 1) & ((x - 0.6) * (x - 0.6) + y * y > 0.49)


def _heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The sextic heart curve, stretched to reach all four sides."""
    u, v = x * 1.139, 0.1187 - y * 1.1173
    disc = u * u + v * v - 1
    return disc * disc * disc <= u * u * v * v * v


INSIDE: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": lambda x, y: x * x + y * y <= 1,
    "square": lambda x, y: (abs(x) <= 1) & (abs(y) <= 1),
    "triangle": lambda x, y: 2 * abs(x) <= y + 1,
    "star": _star,
    "ring": lambda x, y: (x * x + y * y <= 1) & (x * x + y * y >= RING_HOLE * RING_HOLE),
    "moon": lambda x, y: _moon(-y * 0.8625 - 0.1375, x),  # lies on its back: a mirror keeps it
    "heart": _heart,
    "diamond": lambda x, y: abs(x) + abs(y) <= 1,
}


@cache
def mask(shape: str, side: int, image_size: int) -> Mask:
    """`shape` drawn `side` pixels wide and high, y pointing down."""
    steps = (np.arange(side * SUPERSAMPLING) + 0.5) * 2 / (side * SUPERSAMPLING) - 1
    fine = INSIDE[shape](steps[None, :], steps[:, None])
    parts = fine.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING).sum((1, 3), dtype=np.int64)
    alpha = (parts * 255 // SUPERSAMPLING**2).astype(np.uint8)
    alpha[alpha < 32] = 0  # a fringe too faint to see would loosen the box
    rows, columns = alpha.any(1).nonzero()[0], alpha.any(0).nonzero()[0]
    alpha = alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = alpha.shape
    bits, core = _bits(alpha > 0, image_size), _bits(alpha == 255, image_size)
    return Mask(alpha, width, height, bits, core)


def _bits(pixels: np.ndarray, image_size: int) -> int:
    lines = np.zeros((len(pixels), image_size), np.uint8)
    lines[:, : pixels.shape[1]] = pixels
    return int.from_bytes(np.packbits(lines, bitorder="little").tobytes(), "little")


@cache
def _stamp(kind: Kind, side: int, image_size: int) -> tuple[PIL.Image.Image, PIL.Image.Image]:
    """Colours and opacity of a kind, ready to paste."""
    alpha = mask(kind.shape, side, image_size).alpha
    colour = np.array(COLOURS[kind.colour])
    pixels = np.broadcast_to(colour, (*alpha.shape, 3)).astype(np.uint8)
    if kind.texture == "striped":
        stripe = max(round(side / 7), 1)
        down, across = np.indices(alpha.shape)  # slanted, so that stripes cross bars of any shape
        pixels[(down + across) // stripe % 2 == 1] = _stripe_colour(colour)
    return PIL.Image.fromarray(pixels), PIL.Image.fromarray(alpha)


def _stripe_colour(colour: np.ndarray) -> np.ndarray:
    """The same hue, darker than a bright colour or paler than a dark one: clear to see, and the
    silhouette stays one of the object's own colour on any background."""
    if colour @ [3, 6, 1] > 1350:
        return colour * 11 // 20
    return colour + (255 - colour) * 2 // 5


@cache
def _grain(size: int) -> np.ndarray:
    """Noise of 0 to 6, twice as wide and high as an image, to cut from anywhere."""
    noise = np.frombuffer(Random(0).randbytes(4 * size * size), np.uint8) % 7
    return noise.reshape(2 * size, 2 * size)


@cache
def _slope(size: int, rise: int) -> np.ndarray:
    """From -rise to rise in steps of one; modulo 256, so that sums of it stay uint8."""
    steps = np.arange(size) * (2 * rise) // max(size - 1, 1) - rise
    return (steps % 256).astype(np.uint8)


def background(rng: Random, size: int) -> PIL.Image.Image:
    """A light grey, 156 to 255, with a slope and a grain."""
    tone = int(rng.random() * 45) + 180
    across, down = int(rng.random() * 25) - 12, int(rng.random() * 25) - 12
    left, top = int(rng.random() * size), int(rng.random() * size)
    grey = _grain(size)[top : top + size, left : left + size] + _slope(size, across)
    grey += (_slope(size, down) + np.uint8(tone))[:, None]
    return PIL.Image.frombytes("L", (size, size), grey.tobytes()).convert("RGB")


def paste(canvas: PIL.Image.Image, kind: Kind, *, side: int, at: tuple[int, int]) -> None:
    """Draws over what is there; `at` is the left upper corner of the tight extent."""
    pixels, alpha = _stamp(kind, side, canvas.width)
    canvas.paste(pixels, at, alpha)
