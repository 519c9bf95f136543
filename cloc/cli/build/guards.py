"""What keeps a run from being lost, as `failures` in its config says."""

import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import subprocess_script
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cloc.cli.launch.failures import watch
from cloc.errors import UserError
from cloc.interfaces import Loss
from cloc.training.callbacks.finite import Finite
from cloc.training.callbacks.preempt import Preempt
from cloc.training.callbacks.watchdog import Watchdog

# DDP's names for it; torch 2.14 has the first and warns of the second
SYNC = ("forward_sync_buffers", "broadcast_buffers")


def guards(
    settings: Mapping[str, Any], run: Path, save: Callable[[L.Trainer], None]
) -> list[L.Callback]:
    """In front of the benchmarks, so that a run that is told to end does not measure first."""
    if (
        settings["loader_s"] >= settings["timeout_s"]
    ):  # its collective ends before its rank is named
        raise UserError(
            f"failures.loader_s is {settings['loader_s']}, expected less than failures.timeout_s, "
            f"{settings['timeout_s']}; give both"
        )
    preempt = Preempt(save, requeue=settings["requeue"])
    return [
        Watchdog(
            **{name: settings[name] for name in ("compare_every", "hang_s", "loader_s")},
            told=preempt.told,
        ),
        Finite(run, give_up_after=settings["give_up_after"]),
        preempt,
    ]


def check_batch(batch_size: int, losses: Mapping[str, Loss], weights: Mapping[str, float]) -> None:
    """A caption of a step is compared with the others of that step, over all ranks; a loss of
    weight 0 trains nothing anyway."""
    compares = {"caption", "scale"}
    alone = [n for n, loss in losses.items() if weights.get(n, 1) and compares <= set(loss.needs)]
    if batch_size < 2 and alone:
        raise UserError(
            f"batch_size={batch_size}: {alone[0]} compares the captions of a step with each other, "
            "so it learns nothing from one; set batch_size=2 or more, or take other losses="
        )


def own_processes(trainer: L.Trainer, model: nn.Module, *, timeout_s: float) -> L.Trainer:
    """Ranks that Lightning starts are watched by us, no collective waits above `timeout_s`, and no
    step for a broadcast of what is the same on all ranks."""
    if timeout_s <= 0:
        raise UserError(f"failures.timeout_s is {timeout_s}, expected a time above 0")
    # Lightning's own thread looks every five seconds and then kills this process too, before it
    # could say why and with another exit code than it should have.
    subprocess_script._launch_process_observer = watch  # type: ignore[assignment]
    if hasattr(trainer.strategy, "_timeout"):  # those of several processes
        trainer.strategy._timeout = timedelta(seconds=timeout_s)
    if isinstance(trainer.strategy, DDPStrategy) and not changing_buffers(model):
        known = inspect.signature(DistributedDataParallel).parameters
        given = trainer.strategy._ddp_kwargs
        if not given.keys() & {*SYNC}:
            given[next(name for name in SYNC if name in known)] = False
    return trainer


def changing_buffers(model: nn.Module) -> list[str]:
    """Names of the buffers that a checkpoint keeps, as training changes them: the statistics of
    batch norms. Masks, positions and the pixels' mean are made anew with every model."""
    kept = model.state_dict().keys()
    return [name for name, _ in model.named_buffers() if name in kept]
