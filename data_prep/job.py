"""An output folder while it is made: what is done, what is missing, what was set aside."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from cloc.data.samples.json_files import read_mapping
from cloc.data.samples.record import SCHEMA
from cloc.data.shards.manifest import MANIFEST, read_manifest
from cloc.data.shards.shard_set import ShardSet
from cloc.errors import UserError
from data_prep.engine_loop import Outcome
from data_prep.work_unit import MARKERS, PARTIAL, Unit, read_marker

JOB, QUARANTINE = "job.json", "quarantine.json"


class Job(NamedTuple):
    """An output folder, and what belongs into it."""

    out: Path
    units: tuple[Unit, ...]  # of the whole input, in order
    digest: str  # of the settings


def plan_units(shards: ShardSet, *, sha256: Mapping[str, str]) -> tuple[Unit, ...]:
    """One unit per shard. Its fingerprint is the digest that the input's manifest has for it
    (`sha256`, by path), else the size and time of the file: another file of the same size and time
    is taken for the same."""
    return tuple(
        Unit(number, path, samples, sha256.get(path) or _stamp(path))
        for number, samples in enumerate(shards.counts.tolist())
        for path in (shards.paths[number],)
    )


def input_manifest(spec: Any) -> dict[str, Any]:
    """Of a folder with a manifest; {} for other inputs."""
    if not isinstance(spec, str | Path) or not (Path(spec) / MANIFEST).is_file():
        return {}
    return read_manifest(Path(spec))


def manifest_digests(spec: Any) -> dict[str, str]:
    """Path -> sha256 of every shard of a folder with a manifest; {} for other inputs."""
    entries = input_manifest(spec).get("shards", ())
    return {f"{spec}/{e['name']}": e["sha256"] for e in entries if "sha256" in e}


def named_classes(spec: Any) -> dict[str, Any]:
    """What the input's manifest says of classes: regions that keep their labels are of these."""
    found = input_manifest(spec)
    return {key: found[key] for key in ("classes", "synonyms") if key in found}


def _stamp(path: str) -> str:
    try:
        found = Path(path).stat()
    except OSError:  # behind a URL
        return path
    return f"{found.st_size}:{found.st_mtime_ns}"


def open_job(out: Path, units: tuple[Unit, ...], settings: Mapping[str, Any]) -> Job:
    """Begins or goes on with a folder; `settings` are plain JSON and decide what is written.

    A folder of something else, or begun with other settings, raises `UserError`: results are never
    mixed; settings that made no shard yet may be corrected. The input may change: shards that are
    new or other than they were are done, and the manifest names what belongs to it alone.
    """
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
    job = Job(out, units, hashlib.sha256(text.encode()).hexdigest())
    path = out / JOB
    if not path.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out} exists and is not empty; remove it or choose another out=")
        (out / MARKERS).mkdir(parents=True)
        write_json(path, {"settings": settings, "stages": {}})
        return job
    before = _read(path)["settings"]
    now = json.loads(text)
    keys = [key for key in _flat({**before, **now}) if _at(before, key) != _at(now, key)]
    if keys and not any((out / MARKERS).iterdir()):  # a first try that made nothing
        write_json(path, {"settings": settings, "stages": {}})
        return job
    if keys:
        changes = ", ".join(f"{k}={_at(before, k)} there, {_at(now, k)} asked" for k in keys[:5])
        raise UserError(
            f"{out} was begun with other settings ({changes}); give the same ones to go on, or "
            "choose another out="
        )
    return job


def _flat(value: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys of the values that are no mappings."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _at(value: Any, key: str) -> Any:
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def begun_with(job: Job) -> dict[str, Any]:
    """What the stages said of themselves when the first shard was made; {} before."""
    found: dict[str, Any] = _read(job.out / JOB)["stages"]
    if found:
        return found
    # a driver that was killed right behind the first shard has not remembered them
    made = next((marker for _, marker in markers(job) if marker is not None), None)
    return {} if made is None else dict(made["stages"])


def remember_stages(job: Job, marker: Mapping[str, Any]) -> None:
    """After the first shard."""
    content = _read(job.out / JOB)
    write_json(job.out / JOB, {**content, "stages": marker["stages"]})


def is_complete(job: Job) -> bool:
    """True where the manifest was written from just these units and settings."""
    try:
        manifest = json.loads((job.out / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return bool(manifest.get("made_from") == _made_from(job)) and not manifest["quarantined"]


def _made_from(job: Job) -> str:
    digest = hashlib.sha256(job.digest.encode())
    for unit in job.units:
        digest.update(f"\0{unit.number}\0{unit.samples}\0{unit.fingerprint}".encode())
    return digest.hexdigest()


def markers(job: Job) -> Iterator[tuple[Unit, dict[str, Any] | None]]:
    """Every unit with its marker, None where it is to be done."""
    for unit in job.units:
        yield unit, read_marker(job.out, unit, job.digest)


def finish(
    job: Job,
    failed: Iterable[Outcome],
    *,
    budget: float,
    left: int = 0,
    classes: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Writes the manifest of all that is done, with what `named_classes` gives as `classes`, and
    returns it; the folder is a shard set then.

    Failed units stand in `quarantine.json` and under "quarantined" in the manifest. More of them
    than `budget`, a share of the units, raises `UserError`, and there is no manifest: a rerun tries
    them again, and does the `left` that were not begun, and nothing else.
    """
    errors = [{"path": o.unit.path, "shard": o.unit.name, "error": o.error} for o in failed]
    aside = job.out / QUARANTINE
    if errors:
        write_json(aside, errors)
    else:
        aside.unlink(missing_ok=True)
    (job.out / MANIFEST).unlink(missing_ok=True)
    if len(errors) > budget * len(job.units):
        rest = f", and the other {left} were not begun: nothing worked any more" if left else ""
        raise UserError(
            f"{len(errors)} of {len(job.units)} shards failed (budget={budget:g}), first "
            f"{errors[0]['path']}: {errors[0]['error']}; all of them are in {aside}{rest}; the "
            "same command goes on where the cause is mended, or with a budget= that admits them"
        )
    manifest = {**_manifest(job, errors), **classes}
    if not manifest["samples"]:
        raise UserError(f"no sample is left of {len(job.units)} shards: {_drops(manifest)}")
    write_json(job.out / MANIFEST, manifest)
    shutil.rmtree(job.out / PARTIAL, ignore_errors=True)
    return manifest


def _manifest(job: Job, errors: list[dict[str, str]]) -> dict[str, Any]:
    drops, events, licences = Counter[str](), Counter[str](), Counter[str]()
    regions = captions = read = 0
    shards = []
    for _, marker in markers(job):
        if marker is None:  # quarantined
            continue
        read += marker["input"]["samples"]
        regions += marker["regions"]
        captions += marker.get("captions", 0)  # markers of before have none
        licences.update(marker.get("license", {}))
        for row in marker["drops"]:
            drops[f"{row['stage']}: {row['what']}, {row['reason']}"] += row["count"]
        events.update(marker["events"])
        if marker["shard"]:
            shards.append(marker["shard"])
    return {
        "schema": SCHEMA,
        "shards": shards,
        "samples": sum(shard["samples"] for shard in shards),
        "regions": regions,
        "captions": captions,
        "license": dict(sorted(licences.items())),
        "input_samples": read,
        "drops": dict(sorted(drops.items())),
        "events": dict(sorted(events.items())),
        "stages": begun_with(job),
        "quarantined": errors,
        "made_from": _made_from(job),
    }


def _drops(manifest: Mapping[str, Any]) -> str:
    rows = [f"{count} {reason}" for reason, count in manifest["drops"].items()]
    return "; ".join(rows) or "the input has none"


def _read(path: Path) -> dict[str, Any]:
    """`job.json`."""
    cure = f"remove {path.parent}, or choose another out="
    found = read_mapping(path, cure=cure, needs=("settings",))
    return {"stages": {}, **found}


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    text = json.dumps(content, indent=1, ensure_ascii=False)
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)
