"""What a save costs a run: the time training stands still, and the time until it is on the disk.

torchrun --nproc-per-node=2 -m cloc bench what=save      # of optimizer state that FSDP spreads
"""

import tempfile
import time
from pathlib import Path

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from cloc import dist
from cloc.checkpoints.locations import place_of
from cloc.training.checkpoint_io import CheckpointFolders

MIB, PARTS = 400, 8  # in all, and tensors of the model


def saves(*, repeat: int) -> dict[str, list[float]]:
    """Seconds of each: `waited` until it is on the disk, `blocked` until training goes on.

    In turns, in a folder of the working directory's disk, after one save that takes the memory.
    Of several ranks, those of rank 0; gathering the weights is not in it.
    """
    dist.meet()
    weights = torch.rand((MIB << 20) // (3 * PARTS * 4))
    moments = weights
    if dist.world_size() > 1:
        mesh = init_device_mesh("cpu", (dist.world_size(),))
        moments = distribute_tensor(weights, mesh, [Shard(0)])
    found: dict[str, list[float]] = {"waited": [], "blocked": []}
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-save-") as own:
        folders = CheckpointFolders(place_of(Path(dist.gather_objects(own)[0])), keep=1)
        for turn in range(repeat + 1):
            for offset, name in enumerate(found):
                dist.gather_objects(None)  # all begin together
                began = time.perf_counter()
                _save(folders, 2 * turn + offset + 1, weights, moments)
                if name == "blocked":
                    seconds = time.perf_counter() - began
                    folders.finish()
                else:
                    folders.finish()
                    seconds = time.perf_counter() - began
                if turn:
                    found[name].append(seconds)
    return found


def _save(
    folders: CheckpointFolders, step: int, weights: torch.Tensor, moments: torch.Tensor
) -> None:
    """The model is a third of the state, as it is with Adam."""
    optimizer = {"state": {i: {"a": moments, "b": moments} for i in range(PARTS)}}
    folders.save_checkpoint(
        {
            "global_step": step,
            "cloc_config": {},
            "state_dict": {f"model.{i}": weights for i in range(PARTS)},
            "optimizer_states": [optimizer],
        },
        folders.path(step),
    )
