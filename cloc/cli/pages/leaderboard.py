"""The page of `compare`: a row for each figure of one protocol, a column for each result."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from cloc.cli.pages.page import write_page
from cloc.eval.compare import Cell, Column, Result

WIDTH = 84  # pixels of an interval's drawing


def write_leaderboard(
    out: Path,
    results: Sequence[Result],
    names: Sequence[str],
    table: Mapping[Column, Sequence[Cell | None]],
) -> None:
    """Figures that have a chance line, or an interval; the others are lines beside these."""
    kept = {
        column: cells
        for column, cells in table.items()
        if any(c is not None and (c.chance is not None or c.interval is not None) for c in cells)
    }
    shown = [
        {"name": name, "encoder": _told(result, "encoder"), "frame": _told(result, "frame")}
        for name, result in zip(names, results, strict=True)
    ]
    values = {
        "title": "Encoders side by side",
        "first": names[0],
        "results": shown,
        "rows": [_row(column, cells) for column, cells in kept.items()],
        "width": WIDTH,
    }
    main = files("cloc.report").joinpath("leaderboard.html").read_text("utf-8")
    write_page(out, main, values, kind="leaderboard", sections={})


def _told(result: Result, what: str) -> str:
    found = {str(detail.get(what, "")) for detail in result.details.values()}
    return ", ".join(sorted(found))


def _row(column: Column, cells: Sequence[Cell | None]) -> dict[str, Any]:
    chance = next((c.chance for c in cells if c is not None and c.chance is not None), None)
    return {
        "name": f"{column.key} {column.metric} {column.more}",
        "key": column.key,
        "metric": column.metric,
        "more": column.more,
        "chance": "unknown" if chance is None else f"{chance:.3f}",
        "cells": [_cell(cell) for cell in cells],
    }


def _cell(cell: Cell | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    low, high = cell.interval or (cell.value, cell.value)
    title = f"{cell.value:.4f}"
    if cell.interval is not None:
        title += f", 95 % interval {low:.4f} to {high:.4f}"
    if cell.apart is not None:
        title += f", {cell.apart:+.4f} to the first"
    if cell.apart_interval is not None:
        title += f" ({cell.apart_interval.low:+.4f} to {cell.apart_interval.high:+.4f})"
    return {
        "value": cell.value,
        "shown": f"{cell.value:.3f}",
        "title": title,
        "grey": cell.apart is not None and not cell.is_clear,
        "low": _x(low),
        "span": round(_x(high) - _x(low), 1),
        "at": _x(cell.value),
        "chance": None if cell.chance is None else _x(cell.chance),
    }


def _x(value: float) -> float:
    """Of a share in [0, 1]."""
    return round(min(max(value, 0.0), 1.0) * (WIDTH - 2), 1)
