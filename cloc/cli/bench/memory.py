"""What one rank must hold, counted without holding it: an estimate for choosing a layout."""

from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel

from cloc.cli.build.parts import make_module
from cloc.cli.config.compose import plain
from cloc.data.datamodule import per_rank
from cloc.errors import UserError
from cloc.frame import height_and_width
from cloc.interfaces import RegionBatch
from cloc.models.build import build_model
from cloc.models.cloc import CLOC
from cloc.models.towers import Tower

GIB = 2**30


def memory(cfg: DictConfig, *, repeat: int) -> dict[str, Any]:
    """GiB of one rank under DDP in bf16-mixed, by part; `repeat` is not used.

    The tensors are fake: shapes and types without bytes. Counted are weights, gradients, the
    optimizer's state after a step, what the model keeps for backward of one piece of the rank's
    batch (every image with all its regions, every phrase another one), and the embeddings that
    losses gather, with their gradients. Not counted: what a kernel needs while it runs, the
    allocator's gaps, NCCL and the CUDA context.
    """
    ranks, pieces = _ranks(cfg), cfg.accumulate
    images = per_rank(cfg.batch_size, ranks)
    with FakeTensorMode():
        model = build_model(**plain(cfg.model))
        weights = sum(p.numel() for p in model.parameters())
        state = optimizer_bytes(cfg, model)
        two, four = (kept_bytes(model, _batch(cfg, model.tower, b)) for b in (2, 4))
    each = (four - two) // 2
    vectors = 2 + 2 * cfg.data.view.max_regions * (model.region_head is not None)
    parts = {
        "weights": 4 * weights,
        "gradients": 4 * weights,
        "optimizer": state,
        "kept_for_backward": two - 2 * each + each * images // pieces,
        "gathered": 2 * 4 * vectors * cfg.batch_size * model.tower.dim,
    }
    return {
        "experiment": cfg.name,
        "ranks": ranks,
        "images_of_a_rank": images,
        "accumulate": pieces,
        "million_weights": round(weights / 1e6, 1),
        "mib_per_image": round(each / 2**20, 1),
        "gib": {name: round(size / GIB, 1) for name, size in parts.items()},
        "gib_in_all": round(sum(parts.values()) / GIB, 1),
        "torch": torch.__version__,
    }


def _ranks(cfg: DictConfig) -> int:
    sizes = (cfg.trainer.devices, cfg.trainer.num_nodes)
    if not all(type(size) is int and size > 0 for size in sizes):
        raise UserError("what=memory needs numbers: give trainer.devices= and trainer.num_nodes=")
    return int(sizes[0] * sizes[1])


def _batch(cfg: DictConfig, tower: Tower, images: int) -> RegionBatch:
    regions = cfg.data.view.max_regions
    full = cfg.region_context == "full"
    context = tower.context_length if full else cfg.region_context
    size = height_and_width(tower.image_size)
    return RegionBatch(
        images=torch.zeros(images, 3, *size, dtype=torch.uint8),
        captions=torch.ones(images, tower.context_length, dtype=torch.long),
        caption_valid=torch.ones(images, dtype=torch.bool),
        boxes=torch.rand(images, regions, 4),
        valid=torch.ones(images, regions, dtype=torch.bool),
        phrases=torch.ones(images * regions, context, dtype=torch.long),
        phrase_index=torch.arange(images * regions).view(images, regions),
        negative_index=torch.full((images, regions, 1), -1),
        keys=("",) * images,
        extra={},
    )


def kept_bytes(model: CLOC, batch: RegionBatch) -> int:
    """Storages that a forward in bf16 keeps for backward, each once, the weights left out."""
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in weights:
            kept[storage] = tensor  # which also keeps its number from being given again
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    # as on a GPU, where no attention matrix is kept; `tune_for_cpu` turns that off
    attention = sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH], set_priority=True)
    with hooks, attention, torch.autocast("cpu", torch.bfloat16):
        model(batch)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def optimizer_bytes(cfg: DictConfig, model: CLOC) -> int:
    """Of the tensors that the optimizer holds after its first step."""
    configured: Any = make_module(cfg, model).configure_optimizers()
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    configured["optimizer"].step()
    states = configured["optimizer"].state.values()
    held = sum(x.nbytes for state in states for x in state.values() if isinstance(x, Tensor))
    for weight in model.parameters():
        weight.grad = None
    return int(held)
