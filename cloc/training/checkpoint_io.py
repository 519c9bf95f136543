"""Lightning's dict of a run's state, to a checkpoint folder and back; written by a thread."""

import errno
import json
import pickle
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from cloc.checkpoint import (
    AVERAGE,
    CONFIG,
    STATE,
    WEIGHTS,
    Draft,
    Place,
    folder_name,
    step_of,
    write_tensors,
)
from cloc.errors import UserError

UNREADABLE = (
    *(pickle.UnpicklingError, SafetensorError, OSError, EOFError),
    *(RuntimeError, KeyError, TypeError, ValueError),
)
PREFIX = "model."  # of the weights in a module's state; what has another is no weight of the model


class CheckpointFolders(CheckpointIO):
    """Saves while training goes on: what a save costs the run is one copy of its tensors.

    One save is in flight at most: the next one waits for it. An error of the thread is raised by
    `poll`, `finish` or the next save, whichever comes first. Of the steps saved, the newest `keep`
    stay.
    """

    def __init__(self, place: Place, *, keep: int = 2) -> None:
        if keep < 1:
            raise UserError(f"checkpoint_keep is {keep}, expected 1 or more")
        self.place, self.keep = place, keep
        self.copy: Any = None  # kept from save to save: fresh memory costs more than the copying
        self.thread = ThreadPoolExecutor(1, "checkpoint")
        self.writing: Future[None] | None = None

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Returns when everything is copied; `path` is `path(step)`."""
        self.finish()
        self.copy = copied(checkpoint, self.copy)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.writing = self.thread.submit(self._write, self.copy)

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
            with self.place.open(step, WEIGHTS) as file:
                weights = load(file.read())
            if "has_average" in state:
                with self.place.open(step, AVERAGE) as file:
                    state["average"] = load(file.read())
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
        if writing is not None:
            writing.result()

    def teardown(self) -> None:
        """A run that ends by an error still finishes its save, and keeps its own error."""
        if self.writing is not None:
            wait([self.writing])

    def _write(self, checkpoint: Mapping[str, Any]) -> None:
        step = checkpoint["global_step"]
        draft = Draft(self.place.staging, step)
        try:
            fill(draft, checkpoint)
            draft.seal()
            self.place.publish(draft.folder, step)
        except OSError as error:
            draft.drop()
            whole = [folder_name(s) for s in self.place.steps()]
            kept = f"{whole[-1]} is whole" if whole else "there is none before it"
            raise UserError(
                f"{self.path(step)} could not be saved: {explained(error)}; {kept}. Make room (or "
                "set checkpoints=) and go on with resume=auto"
            ) from error
        for old in self.place.steps()[: -self.keep]:
            self.place.remove(old)


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
