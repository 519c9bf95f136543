"""What FSDP spreads over ranks, in a checkpoint: a file of every rank, written side by side.

A storage of torch.distributed.checkpoint, which plans who writes what and brings errors of one rank
to all. Its own storages would pickle the plan, in place; here it lies with the trainer's state.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint import (
    Metadata,
    SavePlan,
    SavePlanner,
    StorageWriter,
)
from torch.distributed.checkpoint.storage import WriteResult
from torch.distributed.tensor import DTensor
from torch.futures import Future

from cloc import dist
from cloc.checkpoints.folder import Draft, Place
from cloc.checkpoints.tensors import write_tensors


class PartWriter(StorageWriter):
    """Rank 0's `complete` gets the draft with all parts in it, and what `join` asks for."""

    def __init__(
        self, place: Place, step: int, complete: Callable[[Draft, dict[str, Any]], None]
    ) -> None:
        self.place, self.step, self.complete = place, step, complete
        self.draft: Draft | None = None

    def reset(self, checkpoint_id: Any = None) -> None:
        """A writer is for one checkpoint."""

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Nothing: the first thing on the disk is the draft."""

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """As it is."""
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """On rank 0, before anybody writes."""
        self.draft = Draft(self.place.staging, self.step)
        return plans

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """This rank's file; none where others have it all."""
        draft = self.draft or Draft(self.place.staging, self.step, fresh=False)
        name = f"part-{dist.rank():05d}.safetensors"
        done: Future[list[WriteResult]] = Future()
        tensors = {item.index.fqn: planner.resolve_data(item) for item in plan.items}
        if tensors:
            with draft.file(name) as file:
                write_tensors(file, tensors)  # type: ignore[arg-type]
            self.place.send(draft.folder / name, self.step)
        found = (name, draft.files.get(name))
        done.set_result([WriteResult(item.index, 0, found) for item in plan.items])
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """On rank 0, when everybody has written."""
        assert self.draft is not None
        sizes: Mapping[str, Any] = metadata.state_dict_metadata
        parts: dict[str, Any] = {name: (list(sizes[name].size), []) for name in sizes}
        for result in (result for of_rank in results for result in of_rank):
            file, facts = result.storage_data
            self.draft.files[file] = facts
            parts[result.index.fqn][1].append((file, list(result.index.offset or ())))
        self.complete(self.draft, parts)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """A place is no name that could be asked for."""
        return False


def split(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, DTensor]]:
    """The checkpoint without the spread tensors of optimizers, and these, named by where they were.

    The optimizers themselves keep what they have.
    """
    parts: dict[str, DTensor] = {}
    optimizers: list[dict[str, Any]] = []
    for i, optimizer in enumerate(checkpoint.get("optimizer_states", [])):
        whole: dict[int, Any] = {}
        for number, state in optimizer["state"].items():
            spread = {key for key, value in state.items() if isinstance(value, DTensor)}
            parts |= {f"{i}/{number}/{key}": state[key] for key in sorted(spread)}
            whole[number] = {key: state[key] for key in state if key not in spread}
        optimizers.append({**optimizer, "state": whole})
    return {**checkpoint, **({"optimizer_states": optimizers} if optimizers else {})}, parts


def join(
    checkpoint: Mapping[str, Any],
    parts: Mapping[str, tuple[list[int], list[tuple[str, list[int]]]]],
    read: Callable[[str], Mapping[str, Tensor]],
) -> None:
    """Puts them back, whole; `parts` has for each its size, and file and offset of every part."""
    files = {
        file: read(file) for file in sorted({f for _, chunks in parts.values() for f, _ in chunks})
    }
    for name, (size, chunks) in parts.items():
        whole = torch.empty(size, dtype=files[chunks[0][0]][name].dtype)
        for file, offset in chunks:
            part = files[file][name]
            whole[tuple(slice(o, o + n) for o, n in zip(offset, part.shape, strict=True))] = part
        i, number, key = name.split("/")
        checkpoint["optimizer_states"][int(i)]["state"][int(number)][key] = whole
