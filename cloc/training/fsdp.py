"""FSDP2: weights, gradients and optimizer state spread over the ranks of a device mesh."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import Replicate, distribute_tensor

from cloc import dist
from cloc.models.parameter_names import is_block, part_of


def shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """In place: block by block, then each head, then the rest of the model as one.

    Over a mesh of two axes weights are spread along the second (the devices of a machine) and
    repeated along the first. Gradients are means over all ranks, as DDP's are. The scales stay
    whole on every rank: they have no axis to spread, and the tower caps them in place.
    """
    # torch warns of in-place changes of what the model returns; no loss makes one
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    scales = {
        _repeat(model, name, mesh)
        for name, _ in list(model.named_parameters())
        if part_of(name) == "scales"
    }
    for name, module in model.named_modules():
        if is_block(name):
            fully_shard(module, mesh=mesh)
    for name, child in model.named_children():
        if name.endswith("_head"):
            fully_shard(child, mesh=mesh)
    fully_shard(model, mesh=mesh, ignored_params=scales)


@contextmanager
def gathered(model: nn.Module) -> Iterator[None]:
    """Inside, every rank has the whole model, so that more can be called than its forward; all
    ranks enter, and call the same. Nothing is done where nothing is spread."""
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(part is not model, recurse=False)  # torch's default
            part.reshard()


def _repeat(model: nn.Module, name: str, mesh: DeviceMesh) -> nn.Parameter:
    """The parameter as a copy on each rank, whose gradients `cloc.dist.local` averages."""
    parent, _, own = name.rpartition(".")
    module = model.get_submodule(parent)
    old: nn.Parameter = getattr(module, own)
    copies = distribute_tensor(old.detach(), mesh, [Replicate()] * mesh.ndim, src_data_rank=None)
    new = nn.Parameter(copies, requires_grad=old.requires_grad)
    setattr(module, own, new)
    return new


class Sharded(ModelParallelStrategy):
    """Saves through the run's own checkpoints: the weights whole, so that anybody can load them,
    the optimizer's state in parts, which every rank writes for itself. Any number of ranks can go
    on from it, with FSDP or without.

    Lightning's own would write everything in place and unverified, with a pickle in it.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(save_distributed_checkpoint=False, **settings)

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """With tensors that are spread; whole where there is one rank."""
        state = optimizer.state_dict()
        if dist.world_size() == 1:
            for number, moments in state["state"].items():
                state["state"][number] = {key: dist.whole(x) for key, x in moments.items()}
        return state

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None
    ) -> None:
        """Every rank takes part."""
        self.checkpoint_io.save_checkpoint(checkpoint, filepath, storage_options)

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Every rank reads all of it and keeps its own part.

        torch's own loading of whole states sends them from rank 0, in an order that ranks do not
        always agree on, and leaves out tensors without axes.
        """
        found = self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=True)
        module = self.lightning_module
        assert module is not None
        own, saved = module.state_dict(), found.pop("state_dict")
        module.load_state_dict(
            {
                name: dist.spread(x, like=own[name]) if name in own else x
                for name, x in saved.items()
            }
        )
        for optimizer, state in zip(self.optimizers, found["optimizer_states"], strict=True):
            optimizer.load_state_dict(spread_moments(state, optimizer))
        return found


def spread_moments(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimizer's whole state, spread as the parameters are, by their place in the groups."""
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    like = dict(zip(numbers, parameters, strict=True))
    spread = {
        number: {
            key: dist.spread(x, like=like[number])
            if key != "step" and x.shape == like[number].shape
            else x
            for key, x in moments.items()
        }
        for number, moments in state["state"].items()
    }
    return {**state, "state": spread}
