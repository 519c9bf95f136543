"""Whether a run fits the machine and its processes, asked before anything is built."""

from typing import Any

import torch
from omegaconf import DictConfig

from cloc.cli.config.compose import plain
from cloc.cli.launch.cpu import multiplies_bf16
from cloc.cli.launch.peers import Peers
from cloc.data.datamodule import per_rank
from cloc.errors import UserError
from cloc.training.module import check_accumulation

ACCELERATORS = ("auto", "cpu", "gpu")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed", "64-true")
STRATEGIES = ("auto", "ddp")  # others are mappings with a _target_, such as trainer=fsdp


def settle_layout(cfg: DictConfig, peers: Peers) -> None:
    """Puts numbers in place of `auto` in `cfg.trainer`; `UserError` for what cannot be run."""
    trainer = cfg.trainer
    _one_of("trainer.accelerator", trainer.accelerator, ACCELERATORS)
    if trainer.accelerator == "auto":
        trainer.accelerator = "gpu" if num_gpus() else "cpu"
    gpus = num_gpus() if trainer.accelerator == "gpu" else None
    if gpus == 0:
        raise UserError(
            "trainer.accelerator=gpu, but torch finds no GPU on this machine; set trainer=cpu"
        )
    check_precision(trainer.precision, trainer.accelerator)
    trainer.precision = chosen_precision(trainer.precision, trainer.accelerator)
    if not (isinstance(trainer.strategy, DictConfig) and "_target_" in trainer.strategy):
        _one_of("trainer.strategy", trainer.strategy, STRATEGIES)
    trainer.num_nodes = _nodes(trainer.num_nodes, peers)
    trainer.devices = devices = _devices(plain(trainer).get("devices"), peers, trainer, gpus)
    each = len(devices) if isinstance(devices, list) else devices
    images = per_rank(cfg.batch_size, each * trainer.num_nodes)
    check_accumulation(trainer.get("accumulate_grad_batches", 1))
    _check_accumulate(cfg, images, each * trainer.num_nodes)


def num_gpus() -> int:
    """That torch can use here; those hidden by CUDA_VISIBLE_DEVICES are not counted."""
    return torch.cuda.device_count() or int(torch.backends.mps.is_available())


def chosen_precision(precision: str, accelerator: str) -> str:
    """bf16-mixed in place of auto, 32-true on a CPU that has no products of bf16."""
    if precision != "auto":
        return precision
    return "bf16-mixed" if accelerator != "cpu" or multiplies_bf16() else "32-true"


def check_precision(precision: Any, accelerator: str) -> None:
    """Lightning's half precisions turn the whole batch into halves, the boxes too."""
    if precision in ("bf16-true", "16-true"):
        raise UserError(
            f"trainer.precision={precision} would round boxes to half precision; set "
            "trainer.precision=bf16-mixed"
        )
    _one_of("trainer.precision", precision, PRECISIONS)
    if precision == "16-mixed" and accelerator == "cpu":
        raise UserError("trainer.precision=16-mixed is for GPUs; set trainer.precision=bf16-mixed")


def _one_of(key: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UserError(f"{key}={value} is unknown; choose from {', '.join(choices)}")


def _nodes(wanted: Any, peers: Peers) -> int:
    """Of the launcher if `wanted` is auto; they must agree."""
    if wanted != "auto" and not _is_count(wanted):
        raise UserError(f"trainer.num_nodes={wanted}; set it to auto or to 1 or more")
    if not peers.from_outside and wanted not in ("auto", 1):
        raise UserError(
            f"trainer.num_nodes={wanted}, but this process was started alone; start one on every "
            "GPU with torchrun or srun (docs/launching.md), or set trainer.num_nodes=1"
        )
    found = peers.nodes or 1
    if wanted == "auto":
        return found
    if peers.nodes not in (None, wanted):
        raise UserError(
            f"trainer.num_nodes={wanted}, but {peers.by} started processes on {found} "
            f"nodes; set trainer.num_nodes={found}, or trainer=multinode, which asks {peers.by}"
        )
    return int(wanted)


def _devices(wanted: Any, peers: Peers, trainer: DictConfig, gpus: int | None) -> int | list[int]:
    """Of one node, as many as the launcher started processes for; without one, all GPUs or one
    process. `gpus` is None on the processor, which has no limit."""
    nodes = trainer.num_nodes
    if peers.world % nodes:
        raise UserError(
            f"trainer.num_nodes={nodes}, but {peers.by} started {peers.world} processes; set "
            f"trainer.num_nodes to a divisor of {peers.world}"
        )
    found = peers.world // nodes if peers.from_outside else gpus or 1
    listed = isinstance(wanted, list)
    if not (wanted == "auto" or _is_count(wanted) or (listed and gpus and _are_gpus(wanted))):
        raise UserError(
            f"trainer.devices={wanted}; set it to auto, to 1 or more, or on GPUs to a list of "
            "different numbers from 0"
        )
    devices: int | list[int] = found if wanted == "auto" else wanted
    count = len(devices) if isinstance(devices, list) else devices
    if peers.from_outside and count != found:
        raise UserError(
            f"trainer.devices={wanted}, but {peers.by} started {found} processes on a node; set "
            f"trainer.devices={found} or trainer.devices=auto"
        )
    highest = max(devices) + 1 if isinstance(devices, list) else devices
    if gpus is not None and highest > gpus:
        raise UserError(
            f"trainer.devices={devices}, but torch finds {gpus} GPUs on this machine; set "
            f"trainer.devices={gpus}, or show it more (CUDA_VISIBLE_DEVICES; in Slurm "
            "--gpus-per-node, not --gpus-per-task)"
        )
    return devices


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


def _are_gpus(values: list[Any]) -> bool:
    numbers = all(type(value) is int and value >= 0 for value in values)
    return numbers and 0 < len(values) == len(set(values))


def _check_accumulate(cfg: DictConfig, images: int, ranks: int) -> None:
    """`images` of one rank's batch."""
    parts = cfg.accumulate
    if not _is_count(parts) or images % parts:
        raise UserError(
            f"accumulate={parts} does not divide a rank's batch of {images} (batch_size="
            f"{cfg.batch_size} over {ranks} ranks); set accumulate to a divisor of {images}"
        )
