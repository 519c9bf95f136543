"""What limits a run: every stage measured alone, and what that means for the whole of it.

cloc-pretrain bench what=doctor experiment=NAME [images=64] [price_per_hour=2.5]
torchrun --nproc-per-node=2 -m cloc bench what=doctor ...      # communication too
"""

from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig
from rich.table import Table
from rich.text import Text

from cloc import dist
from cloc.cli.bench.options import price, whole_number
from cloc.cli.bench.stages import Machine, Stages, measure
from cloc.errors import UserError
from cloc.terminal import plain_console

ADVICE = {
    "disk": "reading is slower than the workers decode: nearer storage, or a warm data.cache",
    "decode": "all cores decode: smaller stored images, fewer regions, or more cores",
    "workers": "cores are idle: raise data.num_workers",
    "host_to_device": "copying batches to the device is the slowest stage",
    "model": "the model is the slowest stage, as it should be",
    "communication": "exchanging gradients is the slowest stage: larger batches, faster links",
}

HOW = {
    "disk": "the loader's readers together, bytes alone (from memory where already read)",
    "decode": "one core: decode, transforms, tokens, collate",
    "workers": "the loader as configured, nobody consuming",
    "host_to_device": "copying a batch",
    "model": "forward, losses, backward, update",
    "communication": "all-reduce of the gradients",
}


def doctor(options: Mapping[str, str], cfg: DictConfig, *, repeat: int) -> dict[str, Any]:
    """The limiter by name, the stages' samples per second, and the whole run's time and cost."""
    dist.meet()
    device = device_of(cfg)
    planned = planned_ranks(cfg)
    images = whole_number(options, "images", max(cfg.batch_size // planned, 1))
    per_hour = price(options)
    stages, machine = measure(cfg, device, images=images, repeat=repeat)
    predicted = planned * samples_per_s(stages, machine)
    hours = cfg.steps * cfg.batch_size / predicted / 3600
    run = {"samples": cfg.steps * cfg.batch_size, "hours": _digits(hours)}
    if per_hour is not None:
        run["cost"] = _digits(hours * planned * per_hour)
    found = {
        "limiter": limiter(stages, machine),
        "samples_per_s_of_a_rank": {k: v and _digits(v) for k, v in stages._asdict().items()},
        "ranks": planned,
        "images_of_a_rank": images,
        **machine._asdict(),
        "predicted_samples_per_s": _digits(predicted),
        "run": run,
        "device": str(device),
    }
    if dist.rank() == 0:
        show(found)
    return found


def limiter(stages: Stages, machine: Machine) -> str:
    """The slowest stage; a slow loader is told apart by disk, all its cores, or too few workers."""
    on_device = {
        name: value
        for name in ("model", "host_to_device", "communication")
        if (value := getattr(stages, name)) is not None
    }
    slowest = min(on_device, key=lambda name: on_device[name])
    if on_device[slowest] <= loading(stages, machine):
        return slowest
    busy = max(min(machine.workers, machine.cores), 1)
    if stages.disk < busy * stages.decode:
        return "disk"
    return "workers" if machine.workers < machine.cores else "decode"


def samples_per_s(stages: Stages, machine: Machine) -> float:
    """Of one rank: loading goes on beside the model, unless there are no workers to do it;
    gradients are exchanged during backward; the copy to the device comes before the step."""
    step = 1 / stages.model + (1 / stages.host_to_device if stages.host_to_device else 0)
    if stages.communication:
        step = max(step, 1 / stages.communication)
    load = 1 / loading(stages, machine)
    return 1 / (step + load if machine.workers == 0 else max(step, load))


def loading(stages: Stages, machine: Machine) -> float:
    """Samples per second that the loader gives, on no more cores than the rank may use."""
    return min(stages.workers, machine.cores * stages.decode)


def show(found: Mapping[str, Any]) -> None:
    """A table for people: every stage, what it gives, and what to do about the slowest."""
    table = Table(title="stages alone, samples/s of one rank", title_justify="left")
    for heading in ("stage", "samples/s", "measured as"):
        table.add_column(heading, justify="right" if heading == "samples/s" else "left")
    for name, rate in found["samples_per_s_of_a_rank"].items():
        style = "bold red" if name == found["limiter"] else ""
        table.add_row(Text(name, style), "-" if rate is None else f"{rate:,.4g}", HOW[name])
    console = plain_console(width=100)
    console.print(table)
    run, limit = found["run"], found["limiter"]
    cost = f", cost {run['cost']:,.4g}" if "cost" in run else ""
    console.print(Text.assemble("limiter: ", (limit, "bold"), f": {ADVICE[limit]}"))
    console.print(
        f"{found['ranks']} x {found['images_of_a_rank']} images, "
        f"{found['workers']} workers on {found['cores']} cores each: "
        f"{found['predicted_samples_per_s']:,.4g} samples/s; "
        f"{run['samples']:,} samples in {run['hours']:,.4g} h{cost}"
    )


def device_of(cfg: DictConfig) -> torch.device:
    """Where the config would train."""
    if cfg.trainer.accelerator == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError(
            f"trainer.accelerator={cfg.trainer.accelerator}, but this machine has no CUDA device; "
            "add trainer=cpu to measure it as it is"
        )
    return torch.device("cuda")


def planned_ranks(cfg: DictConfig) -> int:
    """Those that measure; of a single process those that the config names, if it names a number."""
    if dist.world_size() > 1:
        return dist.world_size()
    devices = cfg.trainer.devices
    return (devices if isinstance(devices, int) else 1) * int(cfg.trainer.num_nodes)


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
