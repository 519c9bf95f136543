"""Bytes that autograd keeps, and the most that is allocated at once; both exact on a CPU."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def saved_bytes(run: Callable[[], Any], *, but: tuple[Tensor, ...] = ()) -> int:
    """What `run` leaves for backward: its distinct storages that are none of those of `but`.

    Of what `checkpoint` holds only the inputs count, as they are all it holds; what its function
    finds in its closure is counted where it was an input of any other operation.
    """
    found: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        found[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        kept = run()
    known = {x.untyped_storage().data_ptr() for x in but}
    del kept
    return sum(size for at, size in found.items() if at not in known)


def peak_bytes(run: Callable[[], Any]) -> int:
    """The most that was allocated at once inside `run`, above what was there before."""
    return _timeline(run)[0]


def held_bytes(run: Callable[[], Any]) -> int:
    """What `run` allocated and what its result still holds: that of the graph behind it, too."""
    return _timeline(run)[1]


def _timeline(run: Callable[[], Any]) -> tuple[int, int]:
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        result = run()
    changes = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for change in sorted(changes, key=lambda e: e.start_ns()):
        now += change.nbytes()
        peak = max(peak, now)
    del result
    return peak, now
