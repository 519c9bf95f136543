"""The picture of a scene with depth: a wall, a tiled floor, shadows, and solids back to front."""

from collections.abc import Sequence
from functools import cache
from random import Random

import numpy as np
import PIL.Image

from cloc.scenes.depth.camera import Camera
from cloc.scenes.depth.place import Placed, painted
from cloc.scenes.depth.stamps import stamp
from cloc.scenes.wherebench.canvas import below

TILE = 330  # side of a tile that lies at the lower edge, thousandths of the picture's
FAR = 60  # rows below the horizon, in thousandths: tiles beyond are too narrow to see
SHADE = 105  # opacity of a shadow, of 255


@cache
def _room(camera: Camera, size: int) -> np.ndarray:
    """uint8 [size, size]: a floor that grows brighter towards the viewer, its tiles told apart by a
    few steps, and a wall above the horizon."""
    rows = 1000 * np.arange(size)[:, None] // size - camera.horizon
    reach = 1000 - camera.horizon
    safe = np.maximum(rows, 1)
    across = (1000 * np.arange(size)[None, :] // size - 500) * reach // safe
    along = reach * 1000 // safe
    odd = (across // TILE + along // TILE) % 2
    floor = 148 + 52 * rows // reach + 9 * odd * (rows > FAR)
    return np.where(rows > 0, floor, 196).astype(np.uint8)


@cache
def _grain(size: int) -> np.ndarray:
    """Noise of 0 to 6, twice as wide and high as a picture, to cut from anywhere."""
    noise = np.frombuffer(Random(1).randbytes(4 * size * size), np.uint8) % 7
    return noise.reshape(2 * size, 2 * size)


def room(rng: Random, camera: Camera, size: int) -> PIL.Image.Image:
    """The ground of a picture, RGB."""
    tone, left, top = below(rng, 31), below(rng, size), below(rng, size)
    grey = _room(camera, size) + _grain(size)[top : top + size, left : left + size]
    grey += np.uint8(tone)
    return PIL.Image.frombytes("L", (size, size), grey.tobytes()).convert("RGB")


@cache
def _shadow(width: int, height: int) -> PIL.Image.Image:
    """An ellipse that fades out; "L"."""
    x = (2 * np.arange(width) + 1 - width)[None, :] / width
    y = (2 * np.arange(height) + 1 - height)[:, None] / height
    depth = np.maximum(1 - x * x - y * y, 0)
    return PIL.Image.fromarray((SHADE * np.minimum(2.2 * depth, 1)).astype(np.uint8))


def draw(rng: Random, camera: Camera, things: Sequence[Placed], size: int) -> PIL.Image.Image:
    """RGB, `size` pixels square. The light is high: a shadow stays under what throws it."""
    image = room(rng, camera, size)
    for thing in things:
        if thing.holder is None:
            width, height = thing.width * 11 // 10, max(thing.side * 3 // 10, 3)
            corner = thing.x - thing.width // 20, thing.y + thing.height - height * 2 // 3
            image.paste((24, 24, 32), corner, _shadow(width, height))
    for thing, front in painted(things):
        shown = stamp(thing.solid, thing.facing, thing.side, size)
        image.paste(shown.colours, (thing.x, thing.y), shown.front if front else shown.alpha)
    return image
