"""Going on with a run: its newest whole checkpoint, and settings that must be what they were."""

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from cloc.checkpoints.folder import Place, newest
from cloc.cli.config.compose import plain
from cloc.cli.config.renamed_paths import renamed
from cloc.data.datamodule import RegionData
from cloc.data.samples.json_files import read_mapping
from cloc.data.shards.skip_lists import Listed
from cloc.errors import UserError
from cloc.training.callbacks.provenance import SHARDS, write_whole

# What may differ in a resumed run: where things lie, what is watched, and which machine runs it.
FREE = (
    *("resume", "resume_changes", "runs", "name", "logger", "eval", "benchmarks", "log_every"),
    *("checkpoints", "checkpoint_every", "checkpoint_minutes", "checkpoint_keep"),
    *("peak_tflops", "failures"),
    *("recompute", "trust"),  # the same numbers; trust stood in the files of earlier versions
    *("data._target_", "data.num_workers", "data.drop_budget", "data.cache", "data.index_folder"),
    *("data.skip_shards", "data.skip_keys", "data.skips"),  # their places stay, as blank rows
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
)


# What `resume_changes` may name: the rates are a function of the step, and so is the order of the
# samples, of which more steps are the continuation.
CHANGEABLE = ("steps", "optimizer.lr", "schedule")
WHY_NOT = {  # of everything else
    "batch_size": "other samples would stand in each step",
    "seed": "the order of the samples follows from it",
    "data": "the order of the samples follows from it",
    "model": "the checkpoint's weights are of the other",
    "start": "the run has its weights already",
    "lora": "the checkpoint's weights are of the other",
    "freeze": "the optimizer's state is of the other weights",
    "rates": "the optimizer's state is in other groups",
    "optimizer": "the optimizer's state was made with the other; of it optimizer.lr alone can",
    "losses": "it would be another objective",
    "weights": "it would be another objective",
}


RESTORE = "a run that goes on stands on it: restore it, or choose another name="


class Change(NamedTuple):
    """A setting that is not what it was."""

    key: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.key} was {self.before}, is {self.now}"


def step_to_resume(cfg: DictConfig, run: Path, place: Place) -> int:
    """That of the newest checkpoint that is whole, every byte checked; 0 for a run that begins, and
    for one that was stopped before its first checkpoint. Nothing that exists is written over."""
    if cfg.resume not in (None, "auto"):
        raise UserError(f"resume={cfg.resume}; choose resume=auto or leave it out")
    check_listed(cfg)
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
        changes = changed_settings(cfg, run)
        if cfg.steps < step and any(change.key == "steps" for change in changes):
            raise UserError(f"steps={cfg.steps}, but {run} has made {step}; give more")
    return step


def precision_before(run: Path) -> str:
    """What `auto` became when the run began, maybe on another machine; "auto" where none did."""
    path = run / "config.yaml"
    if not path.is_file():
        return "auto"
    return str(
        read_mapping(path, cure=RESTORE, needs=("trainer", "precision"))["trainer"]["precision"]
    )


def check_listed(cfg: DictConfig) -> None:
    """What `resume_changes` names must be something that can change without changing the rest."""
    listed = plain(cfg.resume_changes)
    if listed and cfg.resume is None:
        raise UserError(f"resume_changes={listed} is for a run that goes on; give resume=auto")
    known = _flat(plain(cfg))
    for key in map(str, listed):
        if not any(_is_under(name, key) for name in known):
            raise UserError(f"resume_changes: {key} is not a key; choose from {_or(CHANGEABLE)}")
        if not any(_is_under(key, free) for free in (*CHANGEABLE, *FREE)):
            why = WHY_NOT.get(key.partition(".")[0], "the run would be another")
            raise UserError(
                f"resume_changes: {key} cannot change within a run ({why}); choose from "
                f"{_or(CHANGEABLE)}, or begin another run, from these weights by start=run:RUN"
            )


def changed_settings(cfg: DictConfig, run: Path) -> list[Change]:
    """Those that `resume_changes` allows. Another that was changed would be ignored or would change
    the order of the data: `UserError`."""
    path = run / "config.yaml"
    if not path.is_file():
        raise UserError(f"{path} is missing, so the run cannot be continued; choose another name=")
    before = _flat(renamed(read_mapping(path, cure=RESTORE)))
    now = _flat(renamed(plain(cfg)))
    changes = [
        Change(key, before.get(key), now.get(key))
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key) and not _is_free(key)
    ]
    listed = list(map(str, cfg.resume_changes))
    refused = [c for c in changes if not any(_is_under(c.key, key) for key in listed)]
    if refused:
        raise UserError(
            f"{run} was begun with other settings ({'; '.join(map(str, refused[:5]))}); "
            f"{_cure(refused, listed)}"
        )
    return changes


def _cure(refused: Sequence[Change], listed: Sequence[str]) -> str:
    """The way that works for these, as far as there is one."""
    can = [key for key in CHANGEABLE if any(_is_under(change.key, key) for change in refused)]
    fixed = [c.key for c in refused if not any(_is_under(c.key, key) for key in CHANGEABLE)]
    ways = ["give the same ones with resume=auto"]
    if can:
        others = f", the same {', '.join(fixed)}" if fixed else ""
        whole = ",".join([*listed, *can])
        ways.append(f"go on with other ones by resume=auto resume_changes=[{whole}]{others}")
    return f"{', '.join(ways)}, or choose another name="


def note_changes(run: Path, step: int, changes: Sequence[Change]) -> None:
    """Adds them to `changes` of provenance.json: from which step on, what, from what to what."""
    path = run / "provenance.json"
    facts = read_mapping(path, cure=RESTORE)
    noted = facts.setdefault("changes", [])
    rows = [
        {"step": step, "key": change.key, "from": change.before, "to": change.now}
        for change in changes
    ]
    noted += [row for row in rows if row not in noted]  # the start before this one may have died
    write_whole(path, json.dumps(facts, indent=2))


def _is_under(key: str, group: str) -> bool:
    return key == group or key.startswith(f"{group}.")


def _or(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def check_data(run: Path, digest: str) -> None:
    """The order is one of certain shards; other ones would give another, with repetitions."""
    before = read_mapping(run / "provenance.json", cure=RESTORE, needs=("data", "digest"))["data"][
        "digest"
    ]
    if before != digest:
        raise UserError(
            f"data.train: {run} was begun with other shards than are there now; restore those, or "
            "list what is gone or broken in data.skip_shards=FILE, or choose another name="
        )


def shards_before(run: Path) -> dict[str, Any]:
    """What the run found of shards that no manifest lists (`Provenance`), by source."""
    path = run / SHARDS
    if not path.is_file():
        return {}
    try:
        return {
            name: [[Listed(*shard) for shard in part] for part in parts]
            for name, parts in read_mapping(path, cure=RESTORE).items()
        }
    except TypeError:
        raise UserError(f"{path} is not what a run wrote; {RESTORE}") from None


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
    return any(_is_under(key, free) for free in FREE)


def is_used(key: str) -> bool:
    """Whether `data.KEY` is a setting itself; others are there for `data.sources` to point at."""
    return key.startswith("_") or key in inspect.signature(RegionData).parameters
