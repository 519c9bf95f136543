"""An engine's rotary function with some settings, and what it is asked."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cloc.errors import UserError
from cloc.models.positions.conformance.causes import STEPS
from cloc.models.positions.conformance.settings import Settings, turned

NAMES = ("queries", "keys")


class Engine:
    """`rotate(q, k, positions, settings) -> (q, k)`, whose answers are looked at before they are
    used: `UserError` where they are no queries and keys."""

    def __init__(self, rotate: Callable[..., Any], settings: Settings) -> None:
        self.rotate, self.settings = rotate, settings

    def given(self, n: int, b: int = 1) -> list[Tensor]:
        """Queries and keys of length 1, the same whenever they are asked for."""
        generator, s = torch.Generator().manual_seed(0), self.settings
        found = [torch.randn(b, h, n, s.dim, generator=generator) for h in (s.heads, s.kv_heads)]
        return [x / x.norm(dim=-1, keepdim=True) for x in found]

    def __call__(self, given: Sequence[Tensor], positions: Tensor | None) -> list[Tensor]:
        """Both turned, in float64. The function may write into what it gets."""
        where = None if positions is None else positions.clone()
        answer = self.rotate(*(x.clone() for x in given), where, self.settings)
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise UserError(f"it gives {type(answer).__name__}, not (q, k)")
        for name, x, asked in zip(NAMES, answer, given, strict=True):
            if not isinstance(x, Tensor) or x.shape != asked.shape:
                found = list(x.shape) if isinstance(x, Tensor) else type(x).__name__
                raise UserError(f"{name} come back as {found}, not {list(asked.shape)}")
            if not x.isfinite().all():
                raise UserError(f"{name} come back not finite")
        return [x.detach().cpu().double() for x in answer]

    def truth(self, given: Sequence[Tensor], positions: Tensor) -> list[Tensor]:
        """What it should give."""
        return [turned(x, positions, self.settings) for x in given]

    def maps(self, t: int, h: int, w: int) -> list[Tensor]:
        """Of queries and of keys [heads, dim, dim] at one position: what becomes of each channel
        alone."""
        s = self.settings
        each = torch.eye(s.dim).expand(1, s.heads, -1, -1)
        positions = torch.tensor([t, h, w]).view(3, 1, 1).expand(-1, 1, s.dim)
        return [x[0] for x in self((each, each[:, : s.kv_heads]), positions)]

    def far(self, t: int, h: int, w: int) -> list[list[Tensor]]:
        """The maps of queries and those of keys at `STEPS` along these axes."""
        found = [self.maps(t * step, h * step, w * step) for step in STEPS]
        return [list(own) for own in zip(*found, strict=True)]


class Off(NamedTuple):
    """The token that is farthest from where it should be."""

    much: float  # of its length
    whose: str  # queries or keys
    item: int  # of the batch
    token: int


def off(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Off:
    """Over queries and keys [b, h, n, dim]."""
    every = [(a - b).norm(dim=-1).amax(1) for a, b in zip(found, wanted, strict=True)]
    most = [float(own.max()) for own in every]
    which = most.index(max(most))
    item, token = divmod(int(every[which].argmax()), every[which].shape[1])
    return Off(most[which], NAMES[which], item, token)
