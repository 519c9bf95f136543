"""Box algebra on (x0, y0, x1, y1) in [0, 1] of the frame the model sees."""

import torch
from jaxtyping import Float
from torch import Tensor


def area(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Zero for a reversed box."""
    return _product(boxes[..., 2:] - boxes[..., :2])


def intersection(a: Float[Tensor, "*n 4"], b: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Shared area of pairs of boxes, element by element."""
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    return _product(high - low)


def iou(a: Float[Tensor, "*n 4"], b: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Intersection over union in [0, 1]; 0 where both boxes are empty.

    Unchanged by any axis-aligned scaling and shift of both, so the frame it is taken in is free.
    """
    shared = intersection(a, b)
    union = area(a) + area(b) - shared
    return shared / union.clamp(min=torch.finfo(union.dtype).tiny)


def giou(a: Float[Tensor, "*n 4"], b: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Generalized IoU in [-1, 1] (arXiv 1902.09630); has a gradient where boxes do not meet."""
    shared = intersection(a, b)
    union = area(a) + area(b) - shared
    low = torch.minimum(a[..., :2], b[..., :2])
    high = torch.maximum(a[..., 2:], b[..., 2:])
    hull = _product(high - low)
    tiny = torch.finfo(union.dtype).tiny
    return shared / union.clamp(min=tiny) - (hull - union) / hull.clamp(min=tiny)


def from_centre(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """(centre x, centre y, width, height) to corners; may reach outside [0, 1]."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def _product(sides: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n"]:
    """Not `.prod`: its backward asks the host whether a factor is zero."""
    width, height = sides.clamp(min=0).unbind(-1)
    return width * height
