"""How many rows and columns of patches a tower makes of an image of so many pixels."""

from typing import Any

from torch import nn

from cloc.errors import UserError

WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


def rounds_up(trunk: nn.Module) -> bool:
    """True where every layer of a timm trunk that strides pads its input as TensorFlow does (SAME),
    so that it answers at each pixel it would begin at: the last patch of an image that the strides
    do not divide is partly padding, and no pixel is left out."""
    strides = [m for m in trunk.modules() if isinstance(m, WINDOWS) and _most(m.stride) > 1]
    return bool(strides) and all(type(m).__name__.endswith("Same") for m in strides)


def _most(stride: Any) -> int:
    return max(stride) if isinstance(stride, tuple) else int(stride)


def divided(size: Any, reduction: int, tower: Any, *, up: bool = False) -> tuple[int, int]:
    """Rows and columns of an image of `size` pixels, a square's side or height and width.
    `UserError` for one that `reduction` does not divide, where the tower does not round `up`."""
    height, width = (size, size) if isinstance(size, int) else size
    if not up and (height % reduction or width % reduction):
        raise UserError(
            f"{type(tower).__name__} divides an image by {reduction}, but it has {height}x{width} "
            f"pixels; set model.tower.image_size to a multiple of {reduction}"
        )
    return -(-height // reduction), -(-width // reduction)
