"""What `check-shards` does: reads every sample, one line per problem."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn

from cloc.cli.pages.shard_stats import Statistics
from cloc.cli.pages.shards import write_statistics
from cloc.cli.tasks.shard_problems import Problem, Shard, check
from cloc.data.samples.record import Record
from cloc.data.shards.index_places import Indexes, size_of
from cloc.data.shards.manifest import MANIFEST, parse_manifest, read_manifest
from cloc.data.shards.remote import exists, fetch, is_remote
from cloc.data.shards.shard_set import expand_shards
from cloc.errors import UserError
from cloc.terminal import progress, shows_bars

_MAX_KEPT = 100  # lines of one reason that the page shows


def find(spec: str) -> list[Shard]:
    """The tars that `spec` names, with their lines of the manifest; an empty one if it is not in.

    What `cloc-pretrain prepare` writes is a folder of split folders: all of them.
    """
    if (Path(spec) / MANIFEST).is_file():
        specs = [spec]
    else:
        specs = [str(path.parent) for path in sorted(Path(spec).glob(f"*/{MANIFEST}"))]
        if not specs or any(Path(spec).glob("*.tar")):
            specs.append(spec)
    places = [
        (folder or ("" if is_remote(path) else "."), name, path)
        for part in specs
        for path in expand_shards(part, key="SHARDS")
        for folder, _, name in [path.rpartition("/")]
    ]
    manifests = {folder: _entries(folder) for folder in {folder for folder, *_ in places}}
    return [Shard(path, _line(name, manifests[folder])) for folder, name, path in places]


def _entries(folder: str) -> dict[str, dict[str, Any]] | None:
    """Shard name -> its line of the manifest; None where a folder has no manifest at all."""
    if is_remote(folder):
        place = f"{folder}/{MANIFEST}"
        manifest = parse_manifest(fetch(place), place) if exists(place) else None
    else:
        there = (Path(folder) / MANIFEST).is_file()
        manifest = read_manifest(Path(folder)) if there else None
    return None if manifest is None else {shard["name"]: shard for shard in manifest["shards"]}


def _line(name: str, entries: dict[str, dict[str, Any]] | None) -> dict[str, Any] | None:
    return None if entries is None else entries.get(name, {})


class Report:
    """Prints each problem as it comes, counts them by reason and keeps some for the page."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.kept: dict[str, list[str]] = {}

    def add(self, problem: Problem) -> None:
        """A name in a shard can hold line breaks and control codes: they are spelled out."""
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in problem.line)
        print(line)
        self.counts[problem.reason] += 1
        kept = self.kept.setdefault(problem.reason, [])
        if len(kept) < _MAX_KEPT:
            kept.append(line)

    def summary(self) -> str:
        """The last line: how many there are of each reason."""
        if not self.counts:
            return "all samples are well-formed"
        parts = [f"{count} {reason}" for reason, count in self.counts.most_common()]
        return f"{self.counts.total()} problems: {', '.join(parts)}"


class Held:
    """Of every folder, how many samples it has, and how many of these have something to learn."""

    def __init__(self) -> None:
        self.samples: Counter[str] = Counter()
        self.useful: Counter[str] = Counter()

    def add(self, path: str, record: Record) -> None:
        """A sample of the shard at `path`."""
        folder = path.rpartition("/")[0] or "."
        self.samples[folder] += 1
        self.useful[folder] += bool(record.captions or record.regions)

    def empty(self) -> list[tuple[str, int]]:
        """Folders with samples, and nothing in them."""
        return [(f, count) for f, count in self.samples.items() if not self.useful[f]]


def _see(seen: Statistics, held: Held, path: str, record: Record) -> None:
    seen.add(record)
    held.add(path, record)


def run(specs: Sequence[str], *, write_index: bool, out: Path | None, indexes: Indexes) -> Report:
    """Checks all of it; a progress bar shows when stdout is a terminal."""
    report, seen, held = Report(), Statistics(), Held()
    shards, total = list[Shard](), 0
    for spec in specs:
        try:
            found = find(spec)
            total += sum(size_of(shard.path) for shard in found)
            shards += found
        except UserError as error:
            report.add(Problem("shards", str(error)))
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with progress(*columns, hidden=not shows_bars()) as bar:
        task = bar.add_task("checking", total=total)
        for shard in shards:
            bar.update(task, description=shard.path.rpartition("/")[2])
            for problem in check(
                shard,
                may_write=write_index,
                indexes=indexes,
                see=partial(_see, seen, held, shard.path),
                progress=lambda size: bar.advance(task, size),
            ):
                report.add(problem)
    for folder, samples in held.empty():
        line = f"{folder}: none of {samples} samples has a caption or a region to learn from"
        report.add(Problem("empty", line))
    if out is not None:
        write_statistics(out, seen, report.counts, report.kept, [s.path for s in shards])
    return report
