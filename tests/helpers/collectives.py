"""Counts what ranks say to each other."""

from typing import Any

import torch
import torch.distributed as td

KINDS = ("all_gather", "reduce_scatter", "all_reduce", "broadcast")


class Collectives:
    """Inside `with`: the kind of every collective of this rank in order, and the bytes it gives.

    It stands in for the functions of torch.distributed, so those of DDP's own C++ do not count.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.bytes = 0

    def __enter__(self) -> "Collectives":
        found = [name for name in vars(td) if name.startswith(KINDS)]
        self.kept = {name: getattr(td, name) for name in found if callable(getattr(td, name))}
        for name, function in self.kept.items():
            setattr(td, name, self._counted(name, function))
        return self

    def __exit__(self, *error: object) -> None:
        for name, function in self.kept.items():
            setattr(td, name, function)

    def _counted(self, name: str, function: Any) -> Any:
        kind = next(kind for kind in KINDS if name.startswith(kind))

        def run(*args: Any, **kwargs: Any) -> Any:
            self.names.append(kind)
            tensors = [x for x in args if isinstance(x, torch.Tensor)]
            self.bytes += tensors[-1].nbytes if tensors else 0  # the input stands last
            return function(*args, **kwargs)

        return run
