"""What keeps a run from being lost, as `failures` in its config says."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
from _failures import watch
from lightning.pytorch.strategies.launchers import subprocess_script

from cloc.errors import UserError
from cloc.training.callbacks.finite import Finite
from cloc.training.callbacks.preempt import Preempt
from cloc.training.callbacks.watchdog import Watchdog


def guards(
    settings: Mapping[str, Any], run: Path, save: Callable[[L.Trainer], None]
) -> list[L.Callback]:
    """In front of the benchmarks, so that a run that is told to end does not measure first."""
    preempt = Preempt(save, requeue=settings["requeue"])
    return [
        Watchdog(
            compare_every=settings["compare_every"], hang_s=settings["hang_s"], told=preempt.told
        ),
        Finite(run, give_up_after=settings["give_up_after"]),
        preempt,
    ]


def own_processes(trainer: L.Trainer, *, timeout_s: float) -> L.Trainer:
    """Ranks that Lightning starts are watched by us, and no collective waits above `timeout_s`."""
    if timeout_s <= 0:
        raise UserError(f"failures.timeout_s is {timeout_s}, expected a time above 0")
    # Lightning's own thread looks every five seconds and then kills this process too, before it
    # could say why and with another exit code than it should have.
    subprocess_script._launch_process_observer = watch  # type: ignore[assignment]
    if hasattr(trainer.strategy, "_timeout"):  # those of several processes
        trainer.strategy._timeout = timedelta(seconds=timeout_s)
    return trainer
