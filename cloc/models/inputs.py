"""What a person may hand to an `Embedder`: checked before anything is computed of it.

Each function returns what its method goes on with, or raises a `UserError` that says what was given
and what would work.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import PurePath
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from cloc.data.samples.orientation import upright
from cloc.errors import UserError, one_line
from cloc.frame import Colour, ImageSize, as_rgb, height_and_width

EDGE_PX = 1.0  # by which a pixel box may pass the picture's edge; it is cut there
ROUNDING = 1e-3  # the same of a fraction
UNORDERED = Tensor | Mapping | AbstractSet | bytes  # nor ids, of which no list of texts is made
TINY_PX = 4  # of a picture whose boxes may all lie in its first pixel


def check_texts(texts: Any, method: str = "texts") -> list[str]:
    """A list of them."""
    if isinstance(texts, str):
        raise UserError(
            f"{method}({texts!r:.60}) would be {len(texts)} texts, a letter each; write "
            f"{method}([{texts!r:.60}])"
        )
    how = f"write {method}(['a red star'])"
    if not isinstance(texts, Iterable) or isinstance(texts, UNORDERED):
        raise UserError(f"{method} takes a list of strings, not {_kind(texts)}; {how}")
    found = list(texts)
    for i, text in enumerate(found):
        if not isinstance(text, str):
            raise UserError(f"{method}: {i} of the list is {_kind(text)}, not a string; {how}")
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UserError(
                f"{method}: {i} of the list holds half of a character ({text!a:.60}); decode "
                "it as UTF-8"
            )
    return found


def check_phrases(phrases: Any, num_images: int) -> list[list[str]]:
    """A list of phrases for each picture."""
    how = 'one list of phrases for each picture, such as ground(x, [["a red star"]])'
    if isinstance(phrases, str) or not isinstance(phrases, Sequence):
        raise UserError(f"ground takes {how}, not {_kind(phrases)}")
    for i, group in enumerate(phrases):
        if isinstance(group, str) or not isinstance(group, Sequence):
            raise UserError(f"the phrases of picture {i} are {_kind(group)}; ground takes {how}")
    if len(phrases) != num_images:
        raise UserError(
            f"phrases of {len(phrases)} pictures, but x holds {num_images}; ground takes {how}, "
            "an empty one where there is none"
        )
    return [check_texts(group, f"ground, picture {i}") for i, group in enumerate(phrases)]


def check_pictures(images: Any, background: Colour) -> list[PIL.Image.Image]:
    """Upright, in RGB, transparency over `background`."""
    how = "prepare([image, ...], [boxes of each])"
    if isinstance(images, PIL.Image.Image):
        raise UserError(f"prepare takes a list of pictures, not a single one; write {how}")
    if isinstance(images, str | PurePath | np.ndarray | Tensor) or not isinstance(images, Iterable):
        raise UserError(
            f"prepare takes a list of Pillow's pictures, not {_kind(images)}; write {how}"
        )
    return [_picture(image, i, background) for i, image in enumerate(images)]


def _picture(image: Any, number: int, background: Colour) -> PIL.Image.Image:
    if not isinstance(image, PIL.Image.Image):
        cure = (
            "PIL.Image.open(path)" if isinstance(image, str | PurePath) else "PIL.Image.fromarray"
        )
        raise UserError(f"picture {number} is {_kind(image)}, not one of Pillow's; use {cure}")
    if not image.width or not image.height:
        raise UserError(f"picture {number} has no pixels: it is {image.width}x{image.height}")
    try:
        image.load()  # Pillow reads the file only now
        return as_rgb(upright(image), background)
    except (ValueError, OSError, SyntaxError, AssertionError) as error:
        # of a picture that was closed Pillow only asserts that it is open
        closed = isinstance(error, AssertionError)
        why = "it is closed already; hand it over before that" if closed else one_line(error)
        raise UserError(f"picture {number} cannot be shown in RGB: {why}") from None


def check_pixel_boxes(boxes: Any, images: Sequence[PIL.Image.Image]) -> list[np.ndarray]:
    """Float64 [n, 4] for each picture, cut at its edges; `boxes` None: none for any."""
    if boxes is None:
        return [np.zeros((0, 4)) for _ in images]
    how = "give one array [n, 4] of pixels for each picture, [] where there is none"
    if not isinstance(boxes, Sequence | np.ndarray | Tensor) or isinstance(boxes, str):
        raise UserError(f"boxes are {_kind(boxes)}; {how}")
    if len(boxes) != len(images):
        raise UserError(f"boxes of {len(boxes)} pictures, but there are {len(images)}; {how}")
    return [
        _of_picture(own, image, f"boxes[{i}]", how)
        for i, (own, image) in enumerate(zip(boxes, images, strict=True))
    ]


def _of_picture(boxes: Any, image: PIL.Image.Image, name: str, how: str) -> np.ndarray:
    try:
        given = boxes.detach().cpu().numpy() if isinstance(boxes, Tensor) else np.asarray(boxes)
    except (TypeError, ValueError, RuntimeError):  # rows of several lengths, or bfloat16
        raise UserError(f"{name} is {_kind(boxes)} of no shape [n, 4]; {how}") from None
    if given.size == 0:
        return np.zeros((0, 4))
    if given.ndim != 2 or given.shape[1] != 4 or given.dtype.kind not in "iuf":
        raise UserError(f"{name} is of shape {list(given.shape)} and {given.dtype}; {how}")
    found = given.astype(np.float64)
    width, height = image.size
    _check_order(found, name, empty=False)
    if found.max() <= 1 + ROUNDING and min(width, height) > TINY_PX:
        raise UserError(
            f"{name} is {_row(found[0])} of a {width}x{height} picture: that is inside its first "
            "pixel; fractions are times the width and height before they go to prepare"
        )
    limits = np.array([width, height] * 2)
    passes = ((found < -EDGE_PX) | (found > limits + EDGE_PX)).any(1)
    beside = ((found[:, :2] >= limits[:2]) | (found[:, 2:] <= 0)).any(1)
    if (passes | beside).any():
        row = int((passes | beside).argmax())
        raise UserError(
            f"{name}[{row}]={_row(found[row])} lies outside the {width}x{height} picture; boxes "
            "are pixels (x0, y0, x1, y1) of it as shown upright: clip them to it"
        )
    return found.clip(0, limits)


def _check_order(boxes: np.ndarray, name: str, *, empty: bool) -> None:
    """Of [n, 4]: finite, and its second corner right of and below the first."""
    for row, box in enumerate(boxes):
        if not np.isfinite(box).all():
            raise UserError(f"{name}[{row}]={_row(box)} is not finite; leave the box out")
        sides = box[2:] - box[:2]
        if (sides < 0).any() or (not empty and (sides == 0).any()):
            what = "reversed" if (sides < 0).any() else "empty"
            raise UserError(
                f"{name}[{row}]={_row(box)} is {what}; a box is (x0, y0, x1, y1) with x0 < x1 and "
                "y0 < y1, not a corner with width and height"
            )


def check_prepared(x: Any, size: ImageSize) -> Tensor:
    """Pixels [b, 3, h, w] in uint8 of a model that sees `size`."""
    how = "give the images of prepare(...)"
    if isinstance(x, tuple) and hasattr(x, "images"):
        raise UserError(f"x is all that prepare gave; {how}: x, boxes, valid = prepare(...)")
    if not isinstance(x, Tensor):
        raise UserError(f"x is {_kind(x)}; {how}")
    shown = f"{list(x.shape)} in {str(x.dtype).removeprefix('torch.')}"
    if x.dtype != torch.uint8:
        raise UserError(f"x is {shown}; {how}, in uint8: the model normalises them itself")
    if x.ndim == 3 and x.shape[0] == 3:
        raise UserError(f"x is {shown}, a single picture; write x[None]")
    if x.ndim != 4 or x.shape[1] != 3:
        raise UserError(f"x is {shown}, not [pictures, 3, height, width]; {how}")
    height, width = height_and_width(size)
    if x.shape[2:] != (height, width):
        raise UserError(
            f"x is {shown}, but this model sees {width}x{height} pixels; prepare the pictures with "
            "this model's own prepare"
        )
    return x


def check_regions(boxes: Any, valid: Any, num_images: int) -> tuple[Tensor, Tensor]:
    """Fractions [b, r, 4] of the frame, and which of them count; `valid` None: all."""
    how = "give the boxes and valid of prepare(...)"
    if not isinstance(boxes, Tensor) or not boxes.is_floating_point():
        what = _kind(boxes) if not isinstance(boxes, Tensor) else f"in {boxes.dtype}"
        raise UserError(f"boxes are {what}, not a tensor of floats; {how}")
    if boxes.ndim != 3 or boxes.shape[-1] != 4 or len(boxes) != num_images:
        shape = list(boxes.shape)
        raise UserError(f"boxes are {shape} for {num_images} pictures, not [pictures, n, 4]; {how}")
    if valid is None:
        valid = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    if not isinstance(valid, Tensor) or valid.dtype != torch.bool or valid.shape != boxes.shape[:2]:
        shown = (
            f"{list(valid.shape)} in {valid.dtype}" if isinstance(valid, Tensor) else _kind(valid)
        )
        raise UserError(f"valid is {shown}, not bool {list(boxes.shape[:2])}; {how}")
    for i, (own, counts) in enumerate(zip(boxes.detach().cpu(), valid.cpu(), strict=True)):
        found = own[counts].double().numpy()
        _check_order(found, f"boxes[{i}]", empty=True)
        if found.size and (found.max() > 1 + ROUNDING or found.min() < -ROUNDING):
            row = int(((found > 1 + ROUNDING) | (found < -ROUNDING)).any(1).argmax())
            raise UserError(
                f"boxes[{i}][{row}]={_row(found[row])} passes the frame, whose sides are 0 to 1; "
                "pixels go through prepare, and what ground found is clipped by clamp(0, 1)"
            )
    return boxes, valid


def _row(box: np.ndarray) -> str:
    return "(" + ", ".join(f"{x:g}" for x in box) + ")"


def _kind(value: Any) -> str:
    name = type(value).__name__
    short = isinstance(value, str | bytes | int | float | PurePath) or value is None
    return f"{value!r:.60}" if short else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
