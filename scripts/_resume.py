"""Going on with a run: its last checkpoint, and the settings that must be what they were."""

import inspect
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from _run import plain
from omegaconf import DictConfig, OmegaConf

from cloc.data.datamodule import RegionData
from cloc.errors import UserError

# What may differ in a resumed run: where things lie, what is watched, and which machine runs it.
FREE = (
    *("resume", "runs", "name", "logger", "eval", "benchmarks", "log_every", "checkpoint_every"),
    "recompute",  # the same numbers
    *("data._target_", "data.num_workers", "data.drop_budget", "data.cache"),
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
)


def last_checkpoint(run: Path) -> Path:
    return run / "checkpoints" / "last.ckpt"


def checkpoint_to_resume(cfg: DictConfig, run: Path) -> Path | None:
    """None for a fresh run. An existing folder is never written over."""
    if cfg.resume not in (None, "auto"):
        raise UserError(f"resume={cfg.resume}; choose resume=auto or leave it out")
    if cfg.resume == "auto":
        if not last_checkpoint(run).is_file():
            return None  # it was stopped before its first checkpoint
        check_settings(cfg, run)
        return last_checkpoint(run)
    if is_first_process() and run.exists():
        raise UserError(f"{run} exists; continue it with resume=auto, or choose another name=")
    return None


def is_first_process() -> bool:
    """False in the further processes of torchrun, Slurm or Lightning: they may come after the first
    has made the folder."""
    ranks = [os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID")]
    return ranks == ["0"] * 3


def steps_done(checkpoint: Path | None) -> int:
    """Batches each rank has consumed, one a step."""
    if checkpoint is None:
        return 0
    try:
        step: int = torch.load(checkpoint, weights_only=True, mmap=True)["global_step"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        cause = " ".join(str(error).split())[:120]
        raise UserError(
            f"{checkpoint} cannot be read as a checkpoint ({cause}); restore it, or choose another "
            "name="
        ) from None
    return step


def check_settings(cfg: DictConfig, run: Path) -> None:
    """A changed setting would be ignored or would change the order of the data: refused."""
    path = run / "config.yaml"
    if not path.is_file():
        raise UserError(f"{path} is missing, so the run cannot be continued; choose another name=")
    before, now = _flat(plain(OmegaConf.load(path))), _flat(plain(cfg))
    changed = [
        f"{key} was {before.get(key)}, is {now.get(key)}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key) and not _is_free(key)
    ]
    if changed:
        raise UserError(
            f"{run} was begun with other settings ({'; '.join(changed[:5])}); give the same ones "
            "with resume=auto, or choose another name="
        )


def check_data(run: Path, digest: str) -> None:
    """The order is one of certain shards; other ones would give another, with repetitions."""
    before = json.loads((run / "provenance.json").read_text())["data"]["digest"]
    if before != digest:
        raise UserError(
            f"data.train: {run} was begun with other shards than are there now; restore those, or "
            "choose another name="
        )


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Dotted keys to values that are no mapping."""
    if not isinstance(value, Mapping):
        return {key: value}
    found: dict[str, Any] = {}
    for name, inner in value.items():
        found |= _flat(inner, f"{key}.{name}" if key else str(name))
    return found


def _is_free(key: str) -> bool:
    """Where shards lie is free: `check_data` asks whether they are the same ones."""
    group, _, rest = key.partition(".")
    if group == "data" and (not is_used(rest.partition(".")[0]) or rest.endswith(".shards")):
        return True
    return any(key == free or key.startswith(f"{free}.") for free in FREE)


def is_used(key: str) -> bool:
    """Whether `data.KEY` is a setting itself; others are there for `data.sources` to point at."""
    return key.startswith("_") or key in inspect.signature(RegionData).parameters
