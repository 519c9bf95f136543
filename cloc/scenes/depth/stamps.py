"""Solids at one size, antialiased, drawn once and pasted many times."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import PIL.Image

from cloc.data.samples.relations import TOWARDS
from cloc.scenes.depth import fronted, shapes
from cloc.scenes.depth.shapes import Layer
from cloc.scenes.depth.solids import FRONTED, Solid
from cloc.scenes.kinds import COLOURS

SUPERSAMPLING = 4
FAINT = 32  # of 255: a fringe too faint to see would loosen the box
ACCENTS = ((30, 26, 26), (250, 246, 236))


class Form(NamedTuple):
    """One solid at one size and from one side, in no colour yet, cut to its tight extent."""

    width: int
    height: int
    bottom: int  # rows from the middle of the square it was drawn in down to the row below it
    bits: int  # the pixels it changes: bit `y * image_size + x`
    front: int  # those of them that hide what it holds
    planes: np.ndarray  # [height, width, 3]: shares of 256 of own colour and accent, and the grey
    alpha: np.ndarray  # uint8 [height, width]
    front_alpha: np.ndarray


@cache
def form(shape: str, facing: int, side: int, image_size: int) -> Form:
    """`facing` of what has no front is `TOWARDS`."""
    assert shape in FRONTED or facing == TOWARDS
    steps = (np.arange(side * SUPERSAMPLING) + 0.5) * 2 / (side * SUPERSAMPLING) - 1
    planes, whole, front = _painted(_layers(shape, facing, steps[None, :], steps[:, None]), side)
    rows, columns = (np.flatnonzero(whole.any(axis)) for axis in (1, 0))
    cut = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    planes, whole, front = planes[cut], whole[cut], front[cut]
    height, width = whole.shape
    bits, hiding = (bits_of(part > 0, image_size) for part in (whole, front))
    bottom = int(rows[-1]) + 1 - side // 2
    return Form(width, height, bottom, bits, hiding, planes, whole, front)


def _layers(shape: str, facing: int, x: np.ndarray, y: np.ndarray) -> Iterator[Layer]:
    if shape in FRONTED:
        yield from getattr(fronted, shape)(x, y, facing)
    else:
        yield from getattr(shapes, shape)(x, y)


def _painted(layers: Iterable[Layer], side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Planes and opacity of all layers, and the opacity of those in front."""
    fine = side * SUPERSAMPLING
    planes = np.zeros((fine, fine, 3), np.int64)
    inside, front = np.zeros((2, fine, fine), bool)
    for layer in layers:
        for i, value in enumerate((256 * np.asarray(layer.colour), 256 * layer.accent, layer.grey)):
            np.copyto(planes[..., i], np.asarray(value).astype(np.int64), where=layer.inside)
        inside |= layer.inside
        front = front | layer.inside if layer.front else front & ~layer.inside
    count = _summed(inside, side)
    mean = _summed(planes, side) // np.maximum(count, 1)[..., None]
    alphas = [parts * 255 // SUPERSAMPLING**2 for parts in (count, _summed(front, side))]
    whole, hiding = (np.where(alpha < FAINT, 0, alpha).astype(np.uint8) for alpha in alphas)
    return mean, whole, hiding


def _summed(fine: np.ndarray, side: int) -> np.ndarray:
    shape = side, SUPERSAMPLING, side, SUPERSAMPLING, *fine.shape[2:]
    found: np.ndarray = fine.reshape(shape).sum((1, 3), dtype=np.int64)
    return found


def bits_of(pixels: np.ndarray, image_size: int) -> int:
    """Of a mask whose left upper corner is that of the picture."""
    lines = np.zeros((len(pixels), image_size), np.uint8)
    lines[:, : pixels.shape[1]] = pixels
    return int.from_bytes(np.packbits(lines, bitorder="little").tobytes(), "little")


class Stamp(NamedTuple):
    """Colours, and the opacity of the whole and of what hides the things it holds."""

    colours: PIL.Image.Image
    alpha: PIL.Image.Image
    front: PIL.Image.Image


@cache
def stamp(solid: Solid, facing: int, side: int, image_size: int) -> Stamp:
    """A solid ready to paste."""
    shown = form(solid.shape, facing, side, image_size)
    own = np.array(COLOURS[solid.colour])
    accent = np.array(ACCENTS[bool(own @ [3, 6, 1] < 1100)])
    share, strong, grey = (shown.planes[..., i, None] for i in range(3))
    pixels = (share * own + strong * accent) // 256 + grey
    colours = PIL.Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return Stamp(colours, *(PIL.Image.fromarray(a) for a in (shown.alpha, shown.front_alpha)))
