"""Pictures of somebody's folder as examples: read when they are looked at, known by a digest."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os.path import isfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from cloc.data.samples.decode import decode_image, image_size
from cloc.errors import UserError
from cloc.interfaces import Example
from cloc.models.inputs import EDGE_PX, TINY_PX

BOXLESS = np.zeros((0, 4), np.float32)


def require_pictures(paths: Sequence[Path], *, key: str) -> None:
    """`UserError` with the first of the files that is missing, and how many are; `key` is the
    config key that named their folder."""
    missing = [path for path in dict.fromkeys(paths) if not isfile(path)]  # of any name at all
    if missing:
        raise UserError(
            f"{missing[0]}: no such picture; {len(missing)} of {len(set(paths))} that the "
            f"annotations name are missing; set {key} to the folder that holds them"
        )


def read_picture(path: Path) -> PIL.Image.Image:
    """RGB pixels as stored, which is what annotations count in: EXIF's orientation is ignored."""
    return decode_image(path.read_bytes(), str(path))


def digest_of(data: bytes, boxes: np.ndarray, *more: bytes) -> bytes:
    """16 bytes that say which picture (encoded) and boxes, and what `more` an answer hangs on."""
    found = hashlib.blake2b(data, digest_size=16)
    found.update(np.ascontiguousarray(boxes, np.float32).tobytes())
    for part in more:
        found.update(part)
    return found.digest()


def picture_example(
    path: Path,
    *,
    key: str,
    boxes: np.ndarray = BOXLESS,
    phrases: Sequence[str] = (),
    labels: Sequence[str] = (),
    meta: Mapping[str, Any] | None = None,
    size: tuple[int, int] | None = None,
    masks: Callable[[], np.ndarray] | None = None,
    mask_bytes: bytes = b"",
) -> Example:
    """The picture of a file with `boxes`, (x0, y0, x1, y1) in its stored pixels; `mask_bytes` are
    the encoded `masks`. Where `size` (width, height) is annotated and the picture has another, or a
    box lies outside or reaches out by more than a pixel, it is of another set: `UserError`."""
    data = path.read_bytes()
    found = image_size(data, str(path))
    if size is not None and found != size:
        raise UserError(
            f"{path}: the picture is {found[0]}x{found[1]}, annotated as {size[0]}x{size[1]}; give "
            "the annotations of this set, and its pictures as they were published"
        )
    _check_boxes(boxes, found, path)
    return Example(
        key,
        partial(read_picture, path),
        (),
        np.asarray(boxes, np.float32),
        tuple(phrases) or ("",) * len(boxes),
        tuple(labels) or ("",) * len(boxes),
        {} if meta is None else meta,
        digest_of(data, boxes, mask_bytes),
        masks,
        found,
    )


def _check_boxes(boxes: np.ndarray, size: tuple[int, int], path: Path) -> None:
    """As what prepares them would say, and of which file."""
    outside = (boxes[:, :2] >= size).any(1) | (boxes[:, 2:] <= 0).any(1)
    passes = (boxes[:, :2] < -EDGE_PX).any(1) | (boxes[:, 2:] > np.array(size) + EDGE_PX).any(1)
    for wrong, what in ((outside, "lies outside"), (passes, "reaches out")):
        if wrong.any():
            raise UserError(
                f"{path}: box {_row(boxes[wrong])} {what} of the picture of "
                f"{size[0]}x{size[1]}; give the annotations of this set, in pixels"
            )
    if len(boxes) and boxes.max() <= 1 and min(size) > TINY_PX:
        raise UserError(
            f"{path}: all boxes are within the first pixel, such as {_row(boxes)}; "
            "give pixels, not fractions of the picture"
        )


def _row(boxes: np.ndarray) -> list[float]:
    """The first, in words."""
    return [round(value, 2) for value in boxes[0].tolist()]


def case_names(example: Example) -> list[str]:
    """One per box, the same for every encoder: `KEY:NUMBER OF THE BOX`."""
    return [f"{example.key}:{i}" for i in range(len(example.boxes))]
