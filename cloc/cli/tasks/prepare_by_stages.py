"""`prepare pipeline=...`: input shards through the stages of the configuration, on an engine."""

from collections.abc import Mapping, Sequence
from functools import partial
from operator import length_hint
from pathlib import Path
from typing import Any

from cloc.cli.config.compose import make
from cloc.cli.config.renamed_paths import renamed
from cloc.data.samples.json_files import read_mapping
from cloc.data.shards.shard_set import open_shards
from cloc.errors import UserError
from data_prep.engine_loop import IN_A_ROW, Engine, Outcome
from data_prep.job import (
    Job,
    begun_with,
    finish,
    is_complete,
    manifest_digests,
    markers,
    named_classes,
    open_job,
    plan_units,
    remember_stages,
)
from data_prep.progress import Progress
from data_prep.stage import Stage
from data_prep.work_unit import Unit, Work

WRITTEN_BY = ("stages", "order", "parse", "max_unreadable")  # keys that decide what is written


def run_pipeline(settings: Mapping[str, Any], out: Path) -> bool:
    """Makes what is missing of `out`; False where nothing was."""
    stages = _chosen(settings)
    for key in ("budget", "max_unreadable"):
        if not 0 <= settings[key] <= 1:
            raise UserError(f"{key}={settings[key]} is a share; give 0 to 1")
    index_folder = settings["index_folder"] and str(Path(str(settings["index_folder"])).absolute())
    shards = open_shards(settings["input"], key="input", index_folder=index_folder)
    units = plan_units(shards, sha256=manifest_digests(settings["input"]))
    job = open_job(out, units, _as_begun(out, {key: settings[key] for key in WRITTEN_BY}))
    if is_complete(job):
        return False
    missing = [unit for unit, marker in markers(job) if marker is None]
    work = Work(
        make=partial(make_stage, stages),
        stages=tuple(stages),
        parse=make(settings["parse"]),
        out=str(out.absolute()),
        job=job.digest,
        max_unreadable=settings["max_unreadable"],
        begun_with=begun_with(job),
        index_folder=index_folder,
    )
    budget = settings["budget"]
    engine = make(settings["engine"])
    failed, left = _work_on(missing, work, engine, job, budget) if missing else ([], 0)
    from cloc.cli.pages.stage_gallery import (
        write_gallery,  # matplotlib behind it costs a second: not at first
    )

    write_gallery(job, work.parse, index_folder=index_folder)
    classes = named_classes(settings["input"])
    finish(job, failed, budget=budget, left=left, classes=classes)
    return True


def _work_on(
    missing: Sequence[Unit], work: Work, engine: Engine, job: Job, budget: float
) -> tuple[list[Outcome], int]:
    """The units that failed, and how many were left because nothing works any more: `IN_A_ROW` of
    them one after another, and more than the budget, with others still to begin. A caption server
    that is gone would take days otherwise."""
    waiting = iter(missing)
    failed, in_a_row, remembered = [], 0, bool(work.begun_with)
    with Progress(total=len(job.units), done=len(job.units) - len(missing)) as progress:
        for outcome in engine.run(work, waiting):
            in_a_row = in_a_row + 1 if outcome.marker is None else 0
            if outcome.marker is None:
                failed.append(outcome)
            elif not remembered:
                remember_stages(job, outcome.marker)
                remembered = True
            progress.add(outcome.marker)
            left = length_hint(waiting)
            if left and in_a_row >= IN_A_ROW and len(failed) > budget * len(job.units):
                return failed, left
    return failed, 0


def _as_begun(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """In the names that a job was begun with: its finished shards are known by these. A stage that
    is left out decides nothing, so that one may be new here."""
    path = out / "job.json"
    before = read_mapping(path, cure=f"remove {out}").get("settings") if path.is_file() else None
    if before is None or _deciding(renamed(before)) != _deciding(settings):
        return settings
    return dict(before)


def _deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    stages = {name: stage for name, stage in settings.get("stages", {}).items() if stage}
    order = [name for name in settings.get("order", ()) if name in stages]
    return {**settings, "stages": stages, "order": order}


def _chosen(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The configured stages in their order."""
    given = {name: stage for name, stage in settings["stages"].items() if stage}
    order = settings["order"]
    lost = sorted(set(given) - set(order))
    if lost:
        raise UserError(f"order={order} leaves out the stage {lost[0]}; add it, or take it away")
    chosen = {name: given[name] for name in order if name in given}
    if not chosen:
        raise UserError("no stage is chosen; give stages/detect=owlv2 or another one")
    return chosen


def make_stage(stages: Mapping[str, Any], name: str) -> Stage:
    """In the process that will call it."""
    try:
        stage: Stage = make(stages[name])
    except UserError as error:  # which names its own options alone
        raise UserError(f"stages.{name}: {error}") from None
    return stage
