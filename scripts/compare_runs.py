"""Prints the main numbers of runs side by side, and what each left to open.

`python scripts/compare_runs.py runs/A [runs/B ...]`
"""

import json
from pathlib import Path

from _run import cli
from rich.console import Console
from rich.table import Column, Table

from cloc.errors import UserError

MAIN = {
    "region_classification": ("top1", "class_mean", "within_image"),
    "region_retrieval": ("r2t_r@1", "t2r_r@1"),
    "grounding": ("acc@0.5", "miou"),
    "relational_regions": ("pick", "grounding_pick"),
    "image_text_retrieval": ("i2t_r@1", "t2i_r@1"),
    "spatial_relations": ("accuracy",),
}
LEFT = ("report.html", "metrics.json", "open_clip", "first_batch.png")


def main(runs: list[str]) -> None:
    if not runs:
        raise UserError("give one or more run folders, such as runs/demo runs/demo_clip")
    metrics = {run: read_metrics(Path(run)) for run in runs}
    console = Console()
    console.print(side_by_side(metrics))
    for run in runs:
        found = [str(Path(run) / name) for name in LEFT if (Path(run) / name).exists()]
        console.print(f"{run}: open {', '.join(found)}", soft_wrap=True)


def read_metrics(run: Path) -> dict[str, dict[str, float]]:
    path = run / "metrics.json"
    if not path.is_file():
        raise UserError(f"{path} is missing; python scripts/evaluate.py run={run} writes it")
    found: dict[str, dict[str, float]] = json.loads(path.read_text())
    return found


def side_by_side(metrics: dict[str, dict[str, dict[str, float]]]) -> Table:
    """One row per main metric that any run has, splits and extractors apart."""
    first = Column("benchmark", overflow="fold")  # cut short, the splits would look alike
    table = Table(first, "metric", *(Path(run).name for run in metrics), "chance")
    keys = list(dict.fromkeys(key for found in metrics.values() for key in found))
    for key in keys:
        for metric in MAIN.get(key.split("/")[0].split("@")[0], ()):
            values = [found.get(key, {}).get(metric) for found in metrics.values()]
            chances = [found.get(key, {}).get(f"{metric}_chance") for found in metrics.values()]
            if any(value is not None for value in values):
                chance = next((c for c in chances if c is not None), None)
                table.add_row(key, metric, *map(_shown, values), _shown(chance))
    return table


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    cli(main)
