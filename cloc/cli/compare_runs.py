"""Prints the main numbers of runs side by side, and what each left to open.

cloc-pretrain compare-runs runs/demo
cloc-pretrain compare-runs runs/demo runs/demo_clip
cloc-pretrain compare-runs runs/*

Its arguments are run folders that cloc-pretrain evaluate has measured.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Column, Table

from cloc.cli.config.compose import Command, cli, compose_words, plain
from cloc.data.samples.json_files import read_mapping, read_rows
from cloc.errors import UserError
from cloc.report.tables import read_metrics
from cloc.terminal import plain_console

MAIN = {
    "region_classification": ("top1", "class_mean", "within_image"),
    "region_retrieval": ("r2t_r@1", "t2r_r@1"),
    "grounding": ("acc@0.5", "miou"),
    "relational_regions": ("pick", "grounding_pick"),
    "image_text_retrieval": ("i2t_r@1", "t2i_r@1"),
    "spatial_relations": ("accuracy",),
}
LEFT = ("report.html", "metrics.json", "open_clip", "first_batch.png")


def main(arguments: list[str]) -> None:
    runs = plain(compose_words("compare_runs", arguments, key="runs"))["runs"]
    if not runs:
        raise UserError("give one or more run folders, such as runs/demo runs/demo_clip")
    metrics = {run: measured(Path(run)) for run in runs}
    console = plain_console()
    console.print(side_by_side(metrics))
    console.print(how_trained(runs))
    for run in runs:
        found = [str(Path(run) / name) for name in LEFT if (Path(run) / name).exists()]
        console.print(f"{run}: open {', '.join(found)}", soft_wrap=True)


def measured(run: Path) -> dict[str, dict[str, float]]:
    """`metrics.json` of a run that has one."""
    path = run / "metrics.json"
    if not path.is_file():
        raise UserError(f"{path} is missing; cloc-pretrain evaluate run={run} writes it")
    return read_metrics(run)


def side_by_side(metrics: dict[str, dict[str, dict[str, float]]]) -> Table:
    """One row per main metric that any run has, splits and extractors apart."""
    table = _table("benchmark", "metric", *(Path(run).name for run in metrics), "chance")
    keys = list(dict.fromkeys(key for found in metrics.values() for key in found))
    for key in keys:
        for metric in MAIN.get(key.split("/")[0].split("@")[0], ()):
            values = [found.get(key, {}).get(metric) for found in metrics.values()]
            chances = [found.get(key, {}).get(f"{metric}_chance") for found in metrics.values()]
            if any(value is not None for value in values):
                chance = next((c for c in chances if c is not None), None)
                table.add_row(key, metric, *map(_shown, values), _shown(chance))
    return table


def how_trained(runs: list[str]) -> Table:
    """What each run trained, how fast (median), in how much memory (highest), and for a run with a
    retention guard what share of the start's figures was left at its end (the smallest)."""
    table = _table("trained", *(Path(run).name for run in runs))
    logs = [_logs(Path(run)) for run in runs]
    facts = [_read(Path(run) / "provenance.json").get("parameters") for run in runs]
    counts = [found if isinstance(found, dict) else {} for found in facts]
    table.add_row("parameters trained", *(_count(found.get("trained")) for found in counts))
    table.add_row("of", *(_count(found.get("total")) for found in counts))
    table.add_row("samples", *(_count(_samples(Path(run))) for run in runs))
    table.add_row("images/s", *(_of(log.get("speed/images_per_s"), median) for log in logs))
    table.add_row("memory, GiB", *(_of(log.get("memory/peak_gib"), max) for log in logs))
    left = [
        [values[-1] for key, values in log.items() if key.startswith("retention/")] for log in logs
    ]
    table.add_row("kept of the start", *(_of(values, min) for values in left))
    return table


def _table(*columns: str) -> Table:
    """Long words go on in the next line: cut short, splits and runs would look alike."""
    return Table(*(Column(column, overflow="fold") for column in columns))


def _logs(run: Path) -> dict[str, list[float]]:
    """Every key of `metrics.jsonl` with its values, in order."""
    found: dict[str, list[float]] = {}
    path = run / "metrics.jsonl"
    for row in read_rows(path) if path.is_file() else ():
        for key, value in row.items():
            if isinstance(value, int | float):
                found.setdefault(key, []).append(value)
    return found


def _of(values: list[float] | None, summary: Callable[[list[float]], float]) -> str:
    return f"{summary(values):.3g}" if values else ""


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _samples(run: Path) -> int | None:
    """Images of all steps that the run was to make."""
    cfg = _read(run / "config.yaml")
    steps, size = cfg.get("steps"), cfg.get("batch_size")
    return steps * size if isinstance(steps, int) and isinstance(size, int) else None


def _read(path: Path) -> dict[str, Any]:
    return read_mapping(path) if path.is_file() else {}


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    compose = partial(compose_words, "compare_runs", key="runs")
    cli(main, Command(__doc__, "compare_runs", compose), arguments)
