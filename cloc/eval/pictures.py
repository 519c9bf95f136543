"""Pictures of somebody's folder as examples: read when they are looked at, known by a digest."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from cloc.data.samples.decode import decode_image, image_size
from cloc.errors import UserError
from cloc.interfaces import Example

BOXLESS = np.zeros((0, 4), np.float32)


def require_pictures(paths: Sequence[Path], *, key: str) -> None:
    """`UserError` with the first of the files that is missing, and how many are; `key` is the
    config key that named their folder."""
    missing = [path for path in dict.fromkeys(paths) if not path.is_file()]
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
    the encoded `masks`. Where `size` (width, height) is annotated and the picture has another, or
    lies outside of every box, it is of another set: `UserError`."""
    data = path.read_bytes()
    found = image_size(data, str(path))
    if size is not None and found != size:
        raise UserError(
            f"{path}: the picture is {found[0]}x{found[1]}, annotated as {size[0]}x{size[1]}; give "
            "the annotations of this set, and its pictures as they were published"
        )
    outside = (boxes[:, :2] >= found).any(1) | (boxes[:, 2:] <= 0).any(1)
    if outside.any():
        raise UserError(
            f"{path}: box {boxes[outside][0].round(2).tolist()} lies outside of the picture of "
            f"{found[0]}x{found[1]}; give the annotations of this set"
        )
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
    )


def case_names(example: Example) -> list[str]:
    """One per box, the same for every encoder: `KEY:NUMBER OF THE BOX`."""
    return [f"{example.key}:{i}" for i in range(len(example.boxes))]
