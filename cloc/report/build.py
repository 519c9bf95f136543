"""`report.html` of a run: one file with its numbers, curves and pictures, and nothing to fetch."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from cloc.data.samples.json_files import read_mapping
from cloc.errors import UserError
from cloc.report.curves import RUN_COLOUR, TWIN_COLOUR, Panel, chart, panels, read_series
from cloc.report.gallery import GalleryItem, figure
from cloc.report.tables import cards, read_metrics, shown_number, tables

__all__ = ["GalleryItem", "build_report"]


def build_report(
    run: Path, *, twin: Path | None = None, gallery: Sequence[GalleryItem] = ()
) -> Path:
    """Writes `run/report.html` from the files of the run folder and returns its path.

    `twin` is the folder of the run it is compared with. Where the run has no curves, no evaluation
    or no pictures yet, the report says so in their place.
    """
    for folder in (run, twin):
        if folder is not None and not folder.is_dir():
            raise UserError(f"{folder}: no such run folder; give the folder that training wrote")
    twin_name = twin.name if twin else ""
    if twin_name == run.name:
        twin_name = f"{twin_name} (twin)"
    twin_metrics = read_metrics(twin) if twin else {}
    found = tables(run.name, read_metrics(run), twin=twin_name, twin_metrics=twin_metrics)
    provenance = _provenance(run)
    page = _environment().from_string(
        files("cloc.report").joinpath("template.html").read_text("utf-8")
    )
    html = page.render(
        run=run.name,
        twin=twin_name,
        facts=[(k, v) for k, v in provenance if "." not in k and len(v) <= 48],
        cards=cards(found, run=run.name, twin=twin_name),
        tables=found,
        curves={head: [chart(p) for p in group] for head, group in _panels(run, twin).items()},
        figures=[figure(item) for item in gallery],
        drops=_drops(run / "drops.json"),
        provenance=provenance,
        config=_text(run / "config.yaml"),
        run_colour=RUN_COLOUR,
        twin_colour=TWIN_COLOUR,
    )
    # Staged: a browser that is open on the report, or a crash, never meets half a file.
    partial = run / "report.html.partial"
    partial.write_text(html, encoding="utf-8")
    return partial.replace(run / "report.html")


def _environment() -> Environment:
    """Everything is escaped but the charts: phrases come from data that nobody vouches for."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = shown_number
    environment.filters["share"] = _share
    return environment


def _share(value: float | None) -> str:
    """Where a value in [0, 1] stands on a bar, in per cent; outside it the bar is full or empty."""
    return f"{100 * min(max(value or 0.0, 0.0), 1.0):.1f}%" if value == value else "0%"


def _panels(run: Path, twin: Path | None) -> dict[str, list[Panel]]:
    paths = [folder / "metrics.jsonl" for folder in (run, twin) if folder is not None]
    series = [read_series(path) if path.is_file() else {} for path in paths]
    return panels(series[0], series[1] if len(series) > 1 else {})


def _provenance(run: Path) -> list[tuple[str, str]]:
    """The file as dotted key and value, in its own order; empty where there is no file."""
    return _flattened(_json(run / "provenance.json"), "")


def _drops(path: Path) -> dict[str, Any]:
    return read_mapping(path, needs=("samples",)) if path.is_file() else {}


def _json(path: Path) -> dict[str, Any]:
    """Empty where there is no file."""
    return read_mapping(path) if path.is_file() else {}


def _flattened(value: Any, key: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        parts = [(f"{key}.{name}" if key else str(name), inner) for name, inner in value.items()]
        return [pair for name, inner in parts for pair in _flattened(inner, name)]
    return [(key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
