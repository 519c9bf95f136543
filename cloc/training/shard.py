"""FSDP2: weights, gradients and optimizer state spread over the ranks of a device mesh."""

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, distribute_tensor

from cloc import dist
from cloc.parts import is_block, part_of


def shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """In place: block by block, then each head, then the rest of the model as one.

    Over a mesh of two axes weights are spread along the second (the devices of a machine) and
    repeated along the first. Gradients are means over all ranks, as DDP's are. The scales stay
    whole on every rank: they have no axis to spread, and the tower caps them in place.
    """
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


def _repeat(model: nn.Module, name: str, mesh: DeviceMesh) -> nn.Parameter:
    """The parameter as a whole copy on each rank whose gradients are averaged."""
    parent, _, own = name.rpartition(".")
    module = model.get_submodule(parent)
    old: nn.Parameter = getattr(module, own)
    copies = distribute_tensor(old.detach(), mesh, [Replicate()] * mesh.ndim, src_data_rank=None)
    new = nn.Parameter(copies, requires_grad=old.requires_grad)
    if new.requires_grad:
        new.register_post_accumulate_grad_hook(_average)
    setattr(module, own, new)
    return new


@torch.no_grad()
def _average(parameter: torch.Tensor) -> None:
    grad = parameter.grad
    assert isinstance(grad, DTensor)
    mesh = grad.device_mesh
    parameter.grad = grad.redistribute(placements=[Replicate()] * mesh.ndim) / mesh.size()


def spread_loaded(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The same optimizer; the state it is given of a parameter without axes is made like the
    parameter, which torch's loading of whole states leaves out."""
    optimizer.register_load_state_dict_post_hook(_spread_state)
    return optimizer


def _spread_state(optimizer: torch.optim.Optimizer) -> None:
    for parameter, state in optimizer.state.items():
        if isinstance(parameter, DTensor) and parameter.ndim == 0:
            for name, value in state.items():
                if name != "step" and not isinstance(value, DTensor):  # steps are counted whole
                    state[name] = dist.spread(value, like=parameter)
