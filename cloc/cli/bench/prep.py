"""What the engines of data preparation cost beside a plain loop, and how soon they begin.

cloc-pretrain bench what=prep repeat=5 [shards_of_a_job=100000]
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloc.cli.bench.options import whole_number
from cloc.cli.bench.step import spread
from cloc.cli.config.compose import compose_config, plain
from cloc.cli.tasks.prepare_by_stages import WRITTEN_BY
from cloc.data.samples.record import SCHEMA
from cloc.data.shards.manifest import MANIFEST
from cloc.data.shards.reader import Reader
from cloc.data.shards.shard_set import open_shards
from cloc.data.shards.writer import write_shard, write_shards
from cloc.data.sources.cloc_regions import parse
from cloc.errors import UserError
from cloc.scenes.generate import scenes
from data_prep.engine_loop import Pool, drive
from data_prep.engines.inline import InlinePool
from data_prep.engines.processes import ProcessPool
from data_prep.engines.ray import RayPool, start_ray
from data_prep.job import finish, manifest_digests, open_job, plan_units, write_json
from data_prep.stage import Notes, Stage
from data_prep.stages.filter.images import ImageFilter
from data_prep.stages.phrases.light import LightPhrases
from data_prep.work_unit import Unit, Work, marker_path

SHARDS, EACH = 8, 500  # of the input of the overheads
COMMAND = (sys.executable, "-m", "cloc", "prepare")
STAGES = {"images": ImageFilter, "phrases": LightPhrases}
SETTINGS = ("stages/images=checks", "stages/detect=none", "stages/filter=none")


def prep(own: Mapping[str, str], *, repeat: int) -> dict[str, Any]:
    """Speeds of each engine with one worker as a share of a plain loop's (`engine_over_plain`),
    seconds from the command to the first finished shard (`first_shard_s`), the rerun of a finished
    job and of one whose markers must all be read (`rerun_s`), and what a shard costs that has
    nothing in it (`ms_per_empty_shard`)."""
    if repeat < 2:
        raise UserError(f"repeat={repeat}: a spread needs at least 2 turns")
    shards = whole_number(own, "shards_of_a_job", 100_000)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-prep-") as folder:
        base = Path(folder)
        write_shards(scenes("train", SHARDS * EACH), base / "in", samples_per_shard=EACH)
        return {
            "engine_over_plain": overheads(base, repeat),
            "first_shard_s": {
                engine: spread([first_shard(base, engine) for _ in range(repeat)])
                for engine in ("inline", "processes", "ray")
            },
            "rerun_s": reruns(base, shards),
            "shards_of_a_job": shards,
            **empty_shards(base, min(shards, 20_000)),
            "cores": len(os.sched_getaffinity(0)),
        }


def make(name: str) -> Stage:
    """A stage of the measured pipeline, with its defaults."""
    return STAGES[name]()


def overheads(base: Path, repeat: int) -> dict[str, Any]:
    """Each turn runs all of them; the first shard of each, with its start, is not in it."""
    speeds: dict[str, list[float]] = {}
    for turn in range(repeat):
        out = base / f"turn-{turn}"
        speeds.setdefault("plain", []).append(_plain(base / "in", out / "plain"))
        for name, opened in POOLS.items():
            work, units = _job(base / "in", out / name)
            with opened(work) as pool:
                speeds.setdefault(name, []).append(_speed(drive(pool, units)))
        shutil.rmtree(out)
    plain = speeds.pop("plain")
    return {
        name: spread([a / b for a, b in zip(values, plain, strict=True)])
        for name, values in speeds.items()
    }


def _plain(folder: Path, out: Path) -> float:
    """The loop that somebody would write: read, call, write."""
    out.mkdir(parents=True)
    shards, read = open_shards(str(folder), key="input"), Reader(key="input")
    stages = [make(name) for name in STAGES]

    def each() -> Iterator[None]:
        for number, count in enumerate(shards.counts.tolist()):
            path = shards.paths[number]
            records = [parse(read(path, index, count=count)) for index in range(count)]
            for stage in stages:
                records = stage(records, Notes(keep=0))
            write_shard(records, out / f"{number}.tar")
            yield

    return _speed(each())


def _speed(ended: Iterator[Any]) -> float:
    """Shards a second behind the first."""
    next(ended)
    began = time.perf_counter()
    return sum(1 for _ in ended) / (time.perf_counter() - began)


def _job(folder: Path, out: Path) -> tuple[Work, tuple[Unit, ...]]:
    shards = open_shards(str(folder), key="input")
    units = plan_units(shards, sha256=manifest_digests(str(folder)))
    job = open_job(out, units, {})
    return Work(make, tuple(STAGES), parse, str(out.absolute()), job.digest, 0.1, {}), units


@contextmanager
def _inline(work: Work) -> Iterator[Pool]:
    yield InlinePool(work)


@contextmanager
def _processes(work: Work) -> Iterator[Pool]:
    pool = ProcessPool(work, 1)
    yield pool
    pool.close()


@contextmanager
def _ray(work: Work) -> Iterator[Pool]:
    pool = RayPool(start_ray(None, 1), work, {})
    yield pool
    pool.close()


POOLS: dict[str, Callable[[Work], Any]] = {"inline": _inline, "processes": _processes, "ray": _ray}


def first_shard(base: Path, engine: str) -> float:
    """Seconds from the command to its first marker."""
    out = base / "begun"
    command = [*COMMAND, "pipeline=vesl", f"input={base / 'in'}", f"out={out}"]
    began = time.perf_counter()
    process = subprocess.Popen([*command, *SETTINGS, f"engine={engine}"], stdout=subprocess.DEVNULL)
    while not any((out / "markers").glob("*.json")):
        if process.poll() is not None:
            raise RuntimeError(f"the command ended with {process.returncode}")
        time.sleep(0.002)
    seconds = time.perf_counter() - began
    process.wait()
    shutil.rmtree(out)
    return seconds


def reruns(base: Path, count: int) -> dict[str, float]:
    """Of a job that was finished by hand: its tars are empty files, its markers are whole.

    `finished`: until "nothing to do"; `manifest_lost`: every marker is read and the manifest
    written again.
    """
    folder, out = base / "many", base / "made"
    folder.mkdir()
    entries = [{"name": f"{n:06d}.tar", "samples": 9, "sha256": f"{n}"} for n in range(count)]
    for entry in entries:
        (folder / str(entry["name"])).touch()
    write_json(folder / MANIFEST, {"schema": SCHEMA, "shards": entries})
    command = ["pipeline=vesl", f"input={folder}", f"out={out}", *SETTINGS]
    _finish_by_hand(plain(compose_config("prepare", command)), out)
    found = {}
    for name in ("finished", "manifest_lost"):
        began = time.perf_counter()
        subprocess.run([*COMMAND, *command], stdout=subprocess.DEVNULL, check=True)
        found[name] = round(time.perf_counter() - began, 2)
        (out / MANIFEST).unlink()
    return found


def _finish_by_hand(settings: dict[str, Any], out: Path) -> None:
    shards = open_shards(settings["input"], key="input")
    units = plan_units(shards, sha256=manifest_digests(settings["input"]))
    job = open_job(out, units, {key: settings[key] for key in WRITTEN_BY})
    for unit in units:
        marker = {
            "job": job.digest,
            "input": {"path": unit.path, "fingerprint": unit.fingerprint, "samples": 9},
            "stages": {},
            "regions": 40,
            "drops": [{"stage": "phrases", "what": "phrases", "reason": "cap", "count": 3}],
            "events": {},
            "shard": {"name": f"{unit.name}.tar", "samples": 9, "bytes": 9, "sha256": unit.name},
            "examples": {},
        }
        marker_path(out, unit).write_text(json.dumps(marker))
    finish(job, [], budget=0)


def empty_shards(base: Path, count: int) -> dict[str, Any]:
    """Through one process that finds nothing to do, and what the driver holds meanwhile."""
    work, _ = _job(base / "in", base / "empty")
    units = (Unit(number, "", 0, "") for number in range(count))
    pool = ProcessPool(work, 1)
    ended = drive(pool, units)
    next(ended)
    before = _resident_mib()
    began = time.perf_counter()
    for _ in ended:
        pass
    seconds = time.perf_counter() - began
    pool.close()
    return {
        "ms_per_empty_shard": round(1e3 * seconds / (count - 1), 3),
        "driver_mib": {"after_one": before, f"after_{count}": _resident_mib()},
    }


def _resident_mib() -> float:
    """The most this process has held."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
