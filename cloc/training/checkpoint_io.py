"""Lightning's dict of a run's state, to a checkpoint folder and back; written by a thread."""

import errno
import json
import pickle
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning.fabric.plugins import CheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor
from torch.distributed.checkpoint import CheckpointException, async_save
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.tensor import DTensor

from cloc import dist
from cloc.checkpoints.folder import (
    AVERAGE,
    CONFIG,
    STATE,
    WEIGHTS,
    Draft,
    Place,
    folder_name,
    step_of,
)
from cloc.checkpoints.tensors import write_tensors
from cloc.errors import UserError
from cloc.training.checkpoint_parts import PartWriter, join, split

UNREADABLE = (
    *(pickle.UnpicklingError, SafetensorError, OSError, EOFError),
    *(RuntimeError, KeyError, TypeError, ValueError),
)
PREFIX = "model."  # of the weights in a module's state; what has another is no weight of the model


class CheckpointFolders(CheckpointIO):
    """Saves while training goes on: what a save costs the run is one copy of its tensors.

    One save is in flight at most: the next one waits for it. An error of the thread is raised by
    `poll`, `finish` or the next save, whichever comes first. Of the steps saved, the newest `keep`
    stay. Rank 0 saves; where FSDP spreads the optimizer's state all ranks do, each its part.
    """

    def __init__(self, place: Place, *, keep: int = 2) -> None:
        if keep < 1:
            raise UserError(f"checkpoint_keep is {keep}, expected 1 or more")
        self.place, self.keep = place, keep
        self.copy: Any = None  # kept from save to save: fresh memory costs more than the copying
        self.thread = ThreadPoolExecutor(1, "checkpoint")
        self.stager: DefaultStager | None = None  # of parts, with a copy of its own
        self.writing: Future[Any] | None = None
        self.step = 0  # of the newest save

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Returns when everything is copied; `path` is `path(step)`."""
        self.finish()
        self.step = checkpoint["global_step"]
        rest, parts = split(checkpoint)
        if dist.rank() == 0:
            self.copy = copied(rest, self.copy)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
        self.writing = self._spread(parts) if parts else self.thread.submit(self._write)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """On the CPU; nothing in the folder is run, whatever `weights_only` says."""
        step = step_of(str(path))
        if step is None:
            raise UserError(f"{path} is not the name of a checkpoint")
        try:
            with self.place.open(step, STATE) as file:
                state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
            weights = self._tensors(step, WEIGHTS)
            if parts := state.pop("parts", None):
                join(state, parts, lambda name: self._tensors(step, name))
            if "has_average" in state:
                state["average"] = self._tensors(step, AVERAGE)
            module = {f"{PREFIX}{name}": tensor for name, tensor in weights.items()}
            return state | {"state_dict": module | state["state_dict"]}
        except UNREADABLE as error:
            cause = " ".join(str(error).split())[:120]
            raise UserError(
                f"{path} cannot be read as a checkpoint ({cause}); remove it to go on from the one "
                "before"
            ) from None

    def remove_checkpoint(self, path: str | Path) -> None:
        """Of a step; what is too old a save removes by itself."""
        step = step_of(str(path))
        if step in self.place.steps():
            self.place.remove(step)

    def path(self, step: int) -> str:
        """What Lightning shall call the checkpoint of a step."""
        return f"{self.place}/{folder_name(step)}"

    def poll(self) -> None:
        """Raises what went wrong in the background, if by now anything has."""
        if self.writing is not None and self.writing.done():
            self.finish()

    def finish(self) -> None:
        """Waits until the save in flight is on the disk; raises what went wrong."""
        writing, self.writing = self.writing, None
        try:
            if writing is not None:
                writing.result()
        except CheckpointException as error:  # of one rank or several, known to all
            self._raise(next(iter(error.failures.values()))[0])
        except OSError as error:
            self._raise(error)

    def teardown(self) -> None:
        """A run that ends by an error still finishes its save, and keeps its own error."""
        if self.writing is not None:
            wait([self.writing])

    def _write(self) -> None:
        draft = Draft(self.place.staging, self.step)
        try:
            self._complete(draft, {})
        except OSError:
            draft.drop()
            raise

    def _spread(self, parts: dict[str, DTensor]) -> Future[Any]:
        """All ranks, on a group of their own: its words cross those of training."""
        if self.stager is None:
            pinned = torch.cuda.is_available()
            self.stager = DefaultStager(StagingOptions(pinned, False, False, False))
        saving = async_save(
            dict(parts),
            storage_writer=PartWriter(self.place, self.step, self._complete),
            process_group=dist.side_group("checkpoints"),
            async_stager=self.stager,
        )
        assert isinstance(saving, Future)
        return saving

    def _complete(self, draft: Draft, parts: dict[str, Any]) -> None:
        """What is not in the draft yet, and its name."""
        fill(draft, self.copy | ({"parts": parts} if parts else {}))
        draft.seal()
        self.place.publish(draft.folder, self.step)
        for old in self.place.steps()[: -self.keep]:
            self.place.remove(old)

    def _tensors(self, step: int, name: str) -> dict[str, Tensor]:
        with self.place.open(step, name) as file:
            return load(file.read())

    def _raise(self, error: BaseException) -> NoReturn:
        if not isinstance(error, OSError):
            raise error
        whole = [folder_name(s) for s in self.place.steps()]
        kept = f"{whole[-1]} is whole" if whole else "there is none before it"
        raise UserError(
            f"{self.path(self.step)} could not be saved: {explained(error)}; {kept}. Make room (or "
            "set checkpoints=) and go on with resume=auto"
        ) from error


def fill(draft: Draft, checkpoint: Mapping[str, Any]) -> None:
    """The weights where everybody can read them; the rest without them."""
    module, config = checkpoint["state_dict"], checkpoint["cloc_config"]
    weights = {k.removeprefix(PREFIX): v for k, v in module.items() if k.startswith(PREFIX)}
    others = {k: v for k, v in module.items() if not k.startswith(PREFIX)}
    rest = {k: v for k, v in checkpoint.items() if k not in ("cloc_config", "average")}
    with draft.file(WEIGHTS) as file:
        write_tensors(file, weights)
    if "average" in checkpoint:
        rest["has_average"] = True
        with draft.file(AVERAGE) as file:
            write_tensors(file, checkpoint["average"])
    with draft.file(CONFIG) as file:
        file.write((json.dumps(config, indent=2) + "\n").encode())
    with draft.file(STATE) as file:
        torch.save(rest | {"state_dict": others}, file)  # type: ignore[arg-type]


def copied(value: Any, into: Any = None) -> Any:
    """`value` with its tensors copied to the CPU, into those of `into` where they fit, and with
    dicts, lists and tuples of its own."""
    if isinstance(value, Tensor):
        fits = isinstance(into, Tensor) and (into.shape, into.dtype) == (value.shape, value.dtype)
        if not fits:
            into = torch.empty(value.shape, dtype=value.dtype, pin_memory=value.is_cuda)
        return into.copy_(value.detach(), non_blocking=True)
    if isinstance(value, Mapping):
        before = into if isinstance(into, dict) else {}
        return {key: copied(inner, before.get(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        fits = isinstance(into, list | tuple) and len(into) == len(value)
        old = into if fits else [None] * len(value)
        parts = [copied(inner, buffer) for inner, buffer in zip(value, old, strict=True)]
        return parts if isinstance(value, list) else tuple(parts)
    return value


def explained(error: OSError) -> str:
    """A person's word for what the system says."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return error.strerror or str(error)
