"""Going on with a run: its newest whole checkpoint, and settings that must be what they were."""

import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _run import plain
from omegaconf import DictConfig, OmegaConf

from cloc.checkpoint import Place, newest
from cloc.data.datamodule import RegionData
from cloc.errors import UserError

# What may differ in a resumed run: where things lie, what is watched, and which machine runs it.
FREE = (
    *("resume", "runs", "name", "logger", "eval", "benchmarks", "log_every"),
    *("checkpoints", "checkpoint_every", "checkpoint_minutes", "checkpoint_keep"),
    *("peak_tflops", "failures"),
    *("recompute", "trust"),  # the same numbers; trust stood in the files of earlier versions
    *("data._target_", "data.num_workers", "data.drop_budget", "data.cache", "data.index_folder"),
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
)


def step_to_resume(cfg: DictConfig, run: Path, place: Place) -> int:
    """That of the newest checkpoint that is whole, every byte checked; 0 for a run that begins, and
    for one that was stopped before its first checkpoint. Nothing that exists is written over."""
    if cfg.resume not in (None, "auto"):
        raise UserError(f"resume={cfg.resume}; choose resume=auto or leave it out")
    if cfg.resume is None:
        if run.exists():
            raise UserError(f"{run} exists; continue it with resume=auto, or choose another name=")
        if place.steps():
            raise UserError(f"checkpoints={place} has those of another run; choose another place")
        return 0
    step, damaged = newest(place)
    for line in damaged:
        print(f"{line}; going on from step {step}", file=sys.stderr)
    if step:
        check_settings(cfg, run)
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
