"""The unit of work: one input shard becomes one output shard, and a marker that says how.

Whatever runs it (`engines/`), the same shard, stages and settings give the same bytes. The marker
is written last and appears whole: a unit with a marker is done, one without is to be done again.
"""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from cloc.data.samples.record import Record
from cloc.data.shards.reader import Parse, Reader
from cloc.data.shards.writer import write_shard
from cloc.errors import BadSample, UserError, one_line
from data_prep.lost_parts import check_parts, licence_of
from data_prep.stage import PHRASES, Notes, Stage

MARKERS, PARTIAL = "markers", "partial"  # folders inside the output folder
PROVENANCE = "pipeline"  # the key of `Record.meta`: stage -> what its answers depend on
LOOKED_AT = 16  # shards whose markers hold examples for the gallery
ACCEPTED = 4  # examples of records that a stage let pass, of one shard
READ = "read"  # the name of what comes before the first stage
PARTS = "parts of samples"


class Unit(NamedTuple):
    """One input shard."""

    number: int  # its place in the input set, and the number in the name of its output
    path: str
    samples: int
    fingerprint: str  # of the input: another one makes the output out of date

    @property
    def name(self) -> str:
        """Of the output shard, without suffix."""
        return f"shard-{self.number:06d}"


class Work(NamedTuple):
    """What a worker must know; it can be sent to another process or machine."""

    make: Callable[[str], Stage]  # a stage of `stages` by its name
    stages: tuple[str, ...]
    parse: Parse
    out: str
    job: str  # digest of the settings
    max_unreadable: float  # share of a shard's samples; above it the shard itself is at fault
    # what the stages said when the folder was begun; {} at the beginning
    begun_with: Mapping[str, Mapping[str, Any]]
    index_folder: str | None = None  # of input shards without an index beside them


def make_stages(
    work: Work, make: Callable[[str], Stage] | None = None
) -> dict[str, tuple[Stage, dict[str, Any]]]:
    """Each stage and its description, in order; `make` in place of `work`'s own.

    `UserError` where one describes itself otherwise than when the output folder was begun: half of
    the shards would be made by another code or model.
    """
    found = {}
    for name in work.stages:
        stage = (make or work.make)(name)
        said = json.loads(json.dumps({"name": stage.name, **stage.describe()}))
        before = work.begun_with.get(name)
        if before is not None and before != said:
            keys = sorted(k for k in {*before, *said} if before.get(k) != said.get(k))
            changes = ", ".join(f"{k}: {before.get(k)} then, {said.get(k)} now" for k in keys)
            raise UserError(
                f"the stage {name} is not what {work.out} was begun with ({changes}); choose "
                "another out=, or bring the earlier version back"
            )
        found[name] = (stage, said)
    return found


def run_unit(
    unit: Unit, work: Work, stages: Mapping[str, tuple[Stage, dict[str, Any]]]
) -> dict[str, Any]:
    """Reads, asks every stage, writes; returns the marker, which is on disk by then."""
    seen = _Seen(unit)
    records = _read(unit, work, seen)
    for name, (stage, _) in stages.items():
        notes, began, before = seen.notes(), time.perf_counter(), records
        records = stage(before, notes)
        seen.add(name, notes, _first(records, before), seconds=time.perf_counter() - began)
    said = {name: description for name, (_, description) in stages.items()}
    records = [replace(r, meta={**r.meta, PROVENANCE: said}) for r in records]
    marker = {
        "job": work.job,
        "input": {"path": unit.path, "fingerprint": unit.fingerprint, "samples": unit.samples},
        "stages": said,
        "regions": sum(len(record.regions) for record in records),
        "captions": sum(len(record.captions) for record in records),
        "license": Counter(name for record in records for name in licence_of(record)),
        **seen.told(),
    }
    return _publish(unit, work, records, marker)


class _Seen:
    """What the marker says of the way through the stages."""

    def __init__(self, unit: Unit) -> None:
        self.looked_at = unit.number < LOOKED_AT
        self.drops: list[dict[str, Any]] = []
        self.events: dict[str, int] = {}
        self.examples: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}

    def notes(self) -> Notes:
        return Notes() if self.looked_at else Notes(keep=0)

    def add(self, name: str, notes: Notes, records: Sequence[Record], *, seconds: float) -> None:
        for (what, reason), count in sorted(notes.counts.items()):
            self.drops.append({"stage": name, "what": what, "reason": reason, "count": count})
        self.events |= {f"{name}: {event}": count for event, count in notes.events.items()}
        self.seconds[name] = round(seconds, 4)
        if self.looked_at:
            accepted = [_shown(record) for record in records[:ACCEPTED]]
            left_out = [example._asdict() for example in notes.examples]
            self.examples[name] = {"accepted": accepted, "left_out": left_out}

    def told(self) -> dict[str, Any]:
        told = {"drops": self.drops, "events": self.events}
        return {**told, "seconds": self.seconds, "examples": self.examples}


def _first(records: Sequence[Record], before: Sequence[Record]) -> list[Record]:
    """Those that a stage has changed come first: they show what it does."""
    given = set(map(id, before))
    return sorted(records, key=lambda record: id(record) in given)


def _shown(record: Record) -> dict[str, Any]:
    """Of a record, what the gallery draws; the picture is still in the input shard."""
    return {
        "key": record.key,
        "captions": [[caption.text, caption.source] for caption in record.captions],
        "phrases": list(record.meta.get(PHRASES, ())),
        "regions": [[list(r.box), r.text, r.score, list(r.negatives)] for r in record.regions],
    }


def _read(unit: Unit, work: Work, seen: _Seen) -> list[Record]:
    """All records that can be read; a shard with too many others raises `UserError`."""
    read, notes, records = Reader(key="input", index_folder=work.index_folder), seen.notes(), []
    began, last = time.perf_counter(), None
    for index in range(unit.samples):
        try:
            record = work.parse(read(unit.path, index, count=unit.samples))
        except BadSample as error:
            if error.reason == "shard":  # no sample is at fault
                raise UserError(str(error)) from None
            last = error
            notes.counts["samples", error.reason] += 1
            continue
        for problem in record.problems:
            notes.counts[PARTS, problem.reason] += 1
        records.append(replace(record, problems=()) if record.problems else record)
    bad = unit.samples - len(records)
    if last is not None and bad > work.max_unreadable * unit.samples:
        raise UserError(
            f"{last} ({bad} of {unit.samples} samples of the shard cannot be read, "
            f"max_unreadable={work.max_unreadable:g})"
        )
    lost = {reason: n for (what, reason), n in notes.counts.items() if what == PARTS}
    kept = {
        "captions": sum(len(record.captions) for record in records),
        "regions": sum(len(record.regions) for record in records),
    }
    where = f"{unit.path}: "
    check_parts(lost, kept, share=work.max_unreadable, key="max_unreadable", where=where)
    seen.add(READ, notes, records, seconds=time.perf_counter() - began)
    return records


def _publish(
    unit: Unit, work: Work, records: Sequence[Record], marker: dict[str, Any]
) -> dict[str, Any]:
    """The shard, its index, then the marker, written aside and renamed; shard and index are on the
    disk before the marker has its name. One that a power cut takes away is a shard done again."""
    out = Path(work.out)
    aside = out / PARTIAL / f"{unit.name}-{os.uname().nodename}-{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        marker["shard"] = write_shard(records, aside / f"{unit.name}.tar") if records else None
        names = [f"{unit.name}.tar", f"{unit.name}.idx"]
        for name in names:
            if records:
                _flush(aside / name)
                (aside / name).replace(out / name)
            else:  # what an earlier run with another input may have left
                (out / name).unlink(missing_ok=True)
        if records:
            _flush(out)
        (aside / "marker").write_text(json.dumps(marker, ensure_ascii=False), encoding="utf-8")
        (aside / "marker").replace(marker_path(out, unit))
    except OSError as error:
        raise UserError(f"{out}: {unit.name} cannot be written ({one_line(error)})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return marker


def marker_path(out: Path, unit: Unit) -> Path:
    """Where the marker of a unit lies."""
    return out / MARKERS / f"{unit.name}.json"


def read_marker(out: Path, unit: Unit, job: str) -> dict[str, Any] | None:
    """None where the unit is to be done: not made yet, of another input, or not readable."""
    try:
        marker: dict[str, Any] = json.loads(marker_path(out, unit).read_bytes())
        current = (marker["job"], marker["input"]["fingerprint"]) == (job, unit.fingerprint)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return marker if current else None


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
