"""Rows of unit vectors, batches around them and gradients, for tests of losses."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cloc.interfaces import Embeddings, RegionBatch

Graded = tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]


def unit_rows(seed: int, *shape: int) -> Tensor:
    """Random unit vectors in float64."""
    rows = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(rows, dim=-1)


def random_boxes(seed: int, *shape: int) -> Tensor:
    """Random boxes in float64, corners in order."""
    corners = torch.rand(*shape, 2, 2, generator=torch.Generator().manual_seed(seed)).double()
    return torch.cat([corners.amin(-2), corners.amax(-2)], -1)


def graded(
    loss: Callable[..., Any],
    tensors: Mapping[str, Tensor],
    *,
    autocast: bool = False,
    **options: Any,
) -> Graded:
    """Value, gradients of the floating inputs, logs (none where the loss returns a plain value).

    With `autocast` the forward runs under it, in bfloat16, and backward outside, as in training.
    """
    inputs = {
        name: x.detach().clone().requires_grad_(x.is_floating_point())
        for name, x in tensors.items()
    }
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        result = loss(**inputs, **options)
    value, logs = result if isinstance(result, tuple) else (result, {})
    value.backward()
    grads = {name: x.grad for name, x in inputs.items() if x.requires_grad}
    return value.detach(), {name: g for name, g in grads.items() if g is not None}, dict(logs)


def assert_same(actual: Graded, expected: Graded, *, atol: float = 1e-12) -> None:
    """Values, gradients of the same inputs and logs agree to `atol`."""
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)


def make_batch(
    *, valid: Tensor, phrases: Tensor, phrase_index: Tensor, negative_index: Tensor, boxes: Tensor
) -> RegionBatch:
    """A batch of grey images with captions, around the given regions."""
    b = len(valid)
    return RegionBatch(
        images=torch.full((b, 3, 4, 4), 127, dtype=torch.uint8),
        captions=torch.ones(b, 3, dtype=torch.long),
        caption_valid=torch.ones(b, dtype=torch.bool),
        boxes=boxes,
        valid=valid,
        phrases=phrases,
        phrase_index=phrase_index,
        negative_index=negative_index,
        keys=tuple(str(i) for i in range(b)),
        extra={},
    )


def make_embeddings(
    b: int, *, extra: Mapping[str, Tensor] | None = None, **given: Tensor
) -> Embeddings:
    """`given` fields, and an image tower's own where a test does not care."""
    image_text = {
        "image": unit_rows(90, b, 4),
        "caption": unit_rows(91, b, 4),
        "scale": torch.tensor(7.0, dtype=torch.float64),
    }
    heads = ("bias", "phrase", "region", "region_scale", "predicted_boxes")
    return Embeddings(**{**dict.fromkeys(heads), **image_text, **given}, extra=extra or {})


class Largest(TorchDispatchMode):
    """Notes how many numbers the largest tensor holds that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for x in torch.utils._pytree.tree_leaves(result):
            # an expanded view is as large as it looks only where somebody writes it out
            if isinstance(x, Tensor) and x.is_contiguous():
                self.numel = max(self.numel, x.numel())
        return result


def num_waits(run: Callable[[], Any]) -> int:
    """How often `run` makes the host wait for a number, inside autograd's own formulas too.

    Not a dispatch mode: under one, autograd takes other formulas, which do not wait.
    """
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    waits = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal")
    return sum(event.count for event in profile.key_averages() if event.key in waits)
