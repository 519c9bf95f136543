"""What a save costs a run: the time training stands still, and the time until it is on the disk."""

import tempfile
import time
from pathlib import Path

import torch

from cloc.checkpoint_places import place_of
from cloc.training.checkpoint_io import CheckpointFolders

MIB, PARTS = 400, 8  # in all, and tensors of the model


def saves(*, repeat: int) -> dict[str, list[float]]:
    """Seconds of each: `waited` until it is on the disk, `blocked` until training goes on.

    In turns, in a folder of the working directory's disk, after one save that takes the memory.
    """
    part = torch.rand((MIB << 20) // (3 * PARTS * 4))
    found: dict[str, list[float]] = {"waited": [], "blocked": []}
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-save-") as folder:
        folders = CheckpointFolders(place_of(Path(folder)), keep=1)
        for turn in range(repeat + 1):
            for offset, name in enumerate(found):
                began = time.perf_counter()
                _save(folders, 2 * turn + offset + 1, part)
                if name == "blocked":
                    seconds = time.perf_counter() - began
                    folders.finish()
                else:
                    folders.finish()
                    seconds = time.perf_counter() - began
                if turn:
                    found[name].append(seconds)
    return found


def _save(folders: CheckpointFolders, step: int, part: torch.Tensor) -> None:
    """The model is a third of the state, as it is with Adam."""
    folders.save_checkpoint(
        {
            "global_step": step,
            "cloc_config": {},
            "state_dict": {f"model.{i}": part for i in range(PARTS)},
            "optimizer_states": [{"state": {i: {"a": part, "b": part} for i in range(PARTS)}}],
        },
        folders.path(step),
    )
