"""Pictures of a benchmark that reads its own files: as they are, mirrored, shuffled, or not there.

A picture is read when it is looked at and again for each view, so that memory stays bounded.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import PIL.Image
import torch
from jaxtyping import Float
from torch import Tensor

from cloc.errors import UserError
from cloc.eval.control_pictures import blind, changed, permute_patches
from cloc.eval.encode import image_vectors
from cloc.eval.pictures import picture_example, require_pictures
from cloc.interfaces import Embedder, Example

Crop = tuple[int, int, int, int]  # pixels of the stored picture: left, top, right, bottom
View = Literal["original", "mirrored", "permuted", "blind"]


@dataclass(frozen=True)
class Picture:
    """Pictures of one `key` are one picture; `read` gives it, with a digest where it has one."""

    key: str
    read: Callable[[], Example]


def file_pictures(
    paths: Sequence[Path], *, root: Path, crops: Sequence[Crop | None] | None = None
) -> list[Picture]:
    """A picture for each path, of its pixels as stored (EXIF's orientation is not applied, as in
    the suites' own loaders) and of the part in its crop, black where that lies outside.

    `UserError` where one is missing: it names the first and counts them. A picture of another
    kind than JPEG, PNG or WebP, and a crop that shows none of it or is more than twice as wide or
    high, are refused when it is read.
    """
    require_pictures(paths, key=f"its root (now {root})")
    parts = crops or [None] * len(paths)
    return [_file_picture(path, root, crop) for path, crop in zip(paths, parts, strict=True)]


def picture_vectors(
    embedder: Embedder,
    pictures: Sequence[Picture],
    *,
    view: View = "original",
    batch_size: int,
    seed: int = 0,
    grid: int = 8,
) -> Float[Tensor, "n d"]:
    """An embedding for each picture, in order; one of a repeated key is computed once.

    mirrored: left and right are swapped. permuted: the cells of a `grid` x `grid` raster are in an
    order that depends on `seed` and on the key. blind: a grey square in the place of every one.
    """
    if view == "blind":
        [(_, nothing)] = image_vectors(embedder, [blind()], batch_size=1)
        return nothing.expand(len(pictures), -1)
    first = {picture.key: picture for picture in pictures}
    row_of = {key: row for row, key in enumerate(first)}
    seen = _views(list(first.values()), view, seed, grid)
    found = [vector for _, vector in image_vectors(embedder, seen, batch_size=batch_size)]
    return torch.stack(found)[[row_of[picture.key] for picture in pictures]]


def mirror(image: PIL.Image.Image) -> PIL.Image.Image:
    """Left and right swapped."""
    return image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)


def _file_picture(path: Path, root: Path, crop: Crop | None) -> Picture:
    """Its key is the path below `root`, the same on every machine."""
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    key = inside.as_posix() + (f"@{','.join(map(str, crop))}" if crop else "")
    return Picture(key, partial(_read, path, key, crop))


def _read(path: Path, key: str, crop: Crop | None) -> Example:
    whole = picture_example(path, key=key)
    if crop is None:
        return whole
    assert whole.size is not None
    _check(crop, whole.size, path)
    cut = changed(whole, lambda: whole.image.crop(crop), f"crop {crop}")
    return cut._replace(size=(crop[2] - crop[0], crop[3] - crop[1]))


def _check(crop: Crop, size: tuple[int, int], path: Path) -> None:
    """`UserError` for one that shows nothing of the picture, or mostly what lies around it."""
    (x0, y0, x1, y1), (width, height) = crop, size
    beside = x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0
    if beside or x1 - x0 > 2 * width or y1 - y0 > 2 * height:
        raise UserError(
            f"{path}: box {list(crop)} is none of the picture of {width}x{height}; give the "
            "annotations of this set, and its pictures as they were published"
        )


def _views(pictures: Sequence[Picture], view: View, seed: int, grid: int) -> Iterator[Example]:
    for picture in pictures:
        example = picture.read()
        if view == "mirrored":
            example = changed(example, partial(_seen, example, mirror), view)
        elif view == "permuted":
            place = (seed, zlib.crc32(picture.key.encode()))
            permute = partial(_seen, example, partial(_permute, grid, place))
            example = changed(example, permute, f"{view} {grid} {place}")
        yield example


def _seen(
    example: Example, change: Callable[[PIL.Image.Image], PIL.Image.Image]
) -> PIL.Image.Image:
    return change(example.image)


def _permute(grid: int, seed: tuple[int, int], image: PIL.Image.Image) -> PIL.Image.Image:
    return permute_patches(image, grid=grid, rng=np.random.default_rng(seed))
