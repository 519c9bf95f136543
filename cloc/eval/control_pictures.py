"""Control pictures: the same pixels without their places, mirrored, and no picture at all.

A model that reads places must lose them on the first, read the opposite of left and right on the
second and must guess on the third.
"""

import hashlib
from collections.abc import Iterable, Iterator

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
        rng = np.random.default_rng((seed, index))
        yield example._replace(
            image=permute_patches(example.image, grid=grid, rng=rng),
            digest=_digest(example, f"permuted {grid} {seed} {index}"),
        )


def mirrored(examples: Iterable[Example]) -> Iterator[Example]:
    """Every example with left and right exchanged, its boxes and masks too; its words stay."""
    for example in examples:
        image, masks = example.image, example.masks
        boxes = example.boxes.copy()
        boxes[:, [0, 2]] = image.width - example.boxes[:, [2, 0]]
        yield example._replace(
            image=image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT),
            boxes=boxes,
            masks=None if masks is None else masks[:, :, ::-1],
            digest=_digest(example, "mirrored"),
        )


def _digest(example: Example, change: str) -> bytes:
    """What was kept of the example itself is no answer about a picture changed from it."""
    if not example.digest:
        return b""
    return hashlib.blake2b(example.digest + change.encode(), digest_size=16).digest()


def blind() -> Example:
    """A square of mid grey without a word: it does not even say how wide the original was."""
    grey = PIL.Image.new("RGB", (64, 64), (128, 128, 128))
    return Example("blind", grey, (), np.zeros((0, 4), np.float32), (), (), {})


def _resized(image: PIL.Image.Image, width: int, height: int) -> PIL.Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((width, height), PIL.Image.Resampling.BICUBIC)
