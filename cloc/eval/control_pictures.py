"""Control pictures: the same pixels without their places, mirrored, and no picture at all.

A model that reads places must lose them on the first, read the opposite of left and right on the
second and must guess on the third.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import PIL.Image

from cloc.interfaces import Example


def permute_patches(
    image: PIL.Image.Image, *, grid: int, rng: np.random.Generator
) -> PIL.Image.Image:
    """`image` (RGB) with the cells of a `grid` x `grid` raster in random order; the size stays.

    Where a side is no multiple of `grid` the image is resampled to the next one and back.
    """
    width, height = (-(-side // grid) * grid for side in image.size)
    pixels = np.asarray(_resized(image, width, height))
    cells = pixels.reshape(grid, height // grid, grid, width // grid, 3).swapaxes(1, 2)
    cells = rng.permutation(cells.reshape(grid * grid, height // grid, width // grid, 3))
    cells = cells.reshape(grid, grid, height // grid, width // grid, 3).swapaxes(1, 2)
    return _resized(PIL.Image.fromarray(cells.reshape(height, width, 3)), *image.size)


def permuted(examples: Iterable[Example], *, grid: int, seed: int) -> Iterator[Example]:
    """Every example with its patches permuted; the order depends on `seed` and on its place."""
    for index, example in enumerate(examples):
        picture = partial(_permuted, example, grid, (seed, index))
        yield changed(example, picture, f"permuted {grid} {seed} {index}")


def mirrored(examples: Iterable[Example]) -> Iterator[Example]:
    """Every example with left and right exchanged, its boxes and masks too; its words stay."""
    for example in examples:
        width, _ = example.size or example.image.size
        boxes = example.boxes.copy()
        boxes[:, [0, 2]] = width - example.boxes[:, [2, 0]]
        masks = None if example.masks is None else partial(_mirrored_masks, example)
        turned = changed(example, partial(_mirrored, example), "mirrored")
        yield turned._replace(boxes=boxes, masks=masks)


def changed(example: Example, picture: Any, how: str) -> Example:
    """`example` with another picture, a function that makes it; `how` tells it from others: what
    was kept of the example itself is no answer about a picture changed from it."""
    digest = hashlib.blake2b(example.digest + how.encode(), digest_size=16).digest()
    return example._replace(image=picture, digest=digest if example.digest else b"")


def _permuted(example: Example, grid: int, seed: tuple[int, int]) -> PIL.Image.Image:
    return permute_patches(example.image, grid=grid, rng=np.random.default_rng(seed))


def _mirrored(example: Example) -> PIL.Image.Image:
    return example.image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)


def _mirrored_masks(example: Example) -> np.ndarray:
    assert example.masks is not None
    return example.masks[:, :, ::-1]


def blind() -> Example:
    """A square of mid grey without a word: it does not even say how wide the original was."""
    grey = PIL.Image.new("RGB", (64, 64), (128, 128, 128))
    return Example("blind", grey, (), np.zeros((0, 4), np.float32), (), (), {}, digest=b"blind")


def _resized(image: PIL.Image.Image, width: int, height: int) -> PIL.Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((width, height), PIL.Image.Resampling.BICUBIC)
