"""The page of `where`: the answer in words, then every figure with its seeds and interval."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from cloc.cli.matrix.plan import Cell
from cloc.cli.matrix.summary import FIGURES, Figure, Found, Mean, over_seeds
from cloc.cli.matrix.words import Change, changes, contrasts, costs, verdict
from cloc.cli.pages.page import write_page
from cloc.scenes.wherebench.in_depth import LOOK_ALIKES

WIDTH = 100  # pixels of a figure's drawing: five of them beside their names on a page
REACH = 0.5  # of a difference, drawn to either side of zero
SECTIONS = {
    "words": "In words",
    "changes": "Buys and costs",
    "figures": "Figures",
    "relations": "Relations",
    "sizes": "Other sizes",
}


def write_where(out: Path, planned: Sequence[Cell], found: Found, *, cure: str) -> None:
    """All that is there of what is planned; `cure` is the command that does the rest."""
    suspects = {cell.arm: cell.suspect for cell in planned}
    arms = list(suspects)
    encodings = list(dict.fromkeys(cell.encoding for cell in planned))
    sizes = list(dict.fromkeys(size for told in found.values() for size in told["sizes"]))
    first = sizes[0] if sizes else ""
    told = changes(found, contrasts(suspects, encodings), size=first)
    values = {
        "title": 'Where is "where" lost?',
        "done": len(found),
        "planned": len(planned),
        "seeds": len({cell.seed for cell in planned}),
        "cure": cure,
        "first": first,
        "verdict": verdict(told),
        "costs": costs(told),
        "changes": change_rows(told),
        "arms": arms,
        "figures": [table(found, figure, first, arms, encodings) for figure in FIGURES],
        "relation_names": [*(name.replace("_", " ") for name in LOOK_ALIKES), "permuted", "blind"],
        "with_regions": [
            {
                "arm": arm,
                "relations": _relations(found, first, arm, encodings),
                "transfer": _transfer(found, sizes, arm, encodings),
            }
            for arm in arms[1:] or arms
        ],
        "sizes": sizes,
        "width": WIDTH,
    }
    write_page(out, template("where.html"), values, kind="lab", sections=SECTIONS if found else {})


def template(name: str) -> str:
    """Of a page of the lab, behind what draws its bars."""
    parts = [files("cloc.report").joinpath(part) for part in ("seed_bars.html", name)]
    return "".join(part.read_text("utf-8") for part in parts)


def table(
    found: Found, figure: Figure, size: str, arms: Sequence[str], encodings: Sequence[str]
) -> dict[str, Any]:
    rows = _rows(found, figure, size, arms, encodings)
    return {"label": figure.label, "about": figure.about, "rows": rows}


def _rows(
    found: Found, figure: Figure, size: str, arms: Sequence[str], encodings: Sequence[str]
) -> list[dict[str, Any]]:
    return [
        {
            "name": encoding,
            "cells": [
                _cell(
                    over_seeds(found, figure, size=size, arm=arm, encoding=encoding),
                    over_seeds(
                        *(found, figure),
                        size=size,
                        arm=arm,
                        encoding=encoding,
                        metric=f"{figure.metric}_chance",
                    ),
                )
                for arm in arms
            ],
        }
        for encoding in encodings
    ]


def _relations(found: Found, size: str, arm: str, encodings: Sequence[str]) -> list[dict[str, Any]]:
    """Look-alikes of each relation, and their controls over all of them."""
    pick = FIGURES[0]
    columns = [*(f"{name}_pick" for name in LOOK_ALIKES), "pick_permuted", "pick_blind"]
    return [
        {
            "name": encoding,
            "cells": [
                _cell(
                    over_seeds(found, pick, size=size, arm=arm, encoding=encoding, metric=column),
                    None,
                )
                for column in columns
            ],
        }
        for encoding in encodings
    ]


def _transfer(
    found: Found, sizes: Sequence[str], arm: str, encodings: Sequence[str]
) -> list[dict[str, Any]]:
    """Of where and of what, each encoding at each size."""
    return [
        {
            "label": figure.label,
            "rows": [
                {
                    "name": encoding,
                    "cells": [
                        _cell(
                            over_seeds(found, figure, size=size, arm=arm, encoding=encoding),
                            None,
                        )
                        for size in sizes
                    ],
                }
                for encoding in encodings
            ],
        }
        for figure in FIGURES
        if figure.benchmark != "spatial_relations"
    ]


def _cell(mean: Mean | None, chance: Mean | None) -> Mapping[str, Any] | None:
    if mean is None:
        return None
    half = mean.half or 0.0
    return {
        "shown": f"{mean.mean:.3f}",
        "half": "" if mean.half is None else f"± {mean.half:.3f}",
        "low": _x(mean.mean - half),
        "span": round(_x(mean.mean + half) - _x(mean.mean - half), 1),
        "at": _x(mean.mean),
        "seeds": [_x(value) for value in mean.values],
        "chance": None if chance is None else _x(chance.mean),
        "title": ", ".join(f"{value:.4f}" for value in mean.values),
    }


def _x(value: float) -> float:
    """Of a share in [0, 1]."""
    return round(min(max(value, 0.0), 1.0) * (WIDTH - 2), 1)


def change_rows(
    told: Sequence[Change], figures: Sequence[Figure] = FIGURES
) -> list[dict[str, Any]]:
    """A row of each contrast, a column of each figure."""
    of = {(change.contrast, change.figure): change for change in told}
    return [
        {
            "suspect": contrast.suspect,
            "label": contrast.label,
            "cells": [_change(of.get((contrast, figure))) for figure in figures],
        }
        for contrast in dict.fromkeys(change.contrast for change in told)
    ]


def _change(change: Change | None) -> Mapping[str, Any] | None:
    if change is None:
        return None
    by, half = change.by, change.by.half or 0.0
    return {
        "shown": f"{by.mean:+.3f}",
        "half": "" if by.half is None else f"± {by.half:.3f}",
        "is_clear": by.is_clear,
        "low": _signed(by.mean - half),
        "span": round(_signed(by.mean + half) - _signed(by.mean - half), 1),
        "at": _signed(by.mean),
        "zero": _signed(0.0),
        "title": ", ".join(f"{value:+.4f}" for value in by.values),
    }


def _signed(value: float) -> float:
    return _x((value + REACH) / (2 * REACH))
