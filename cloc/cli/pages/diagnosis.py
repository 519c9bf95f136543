"""The page of `diagnose`: what each figure means and does not say, and its curve over layers."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from cloc.cli.pages.page import write_page
from cloc.report.curves import RUN_COLOUR, TWIN_COLOUR, Curve, Panel, chart

COLOURS = (RUN_COLOUR, TWIN_COLOUR, "#12a594", "#b45ad6", "#8a8f98")
Layer = Mapping[str, Any]
Value = Callable[[Layer], Any]
SECTIONS = {
    "input": "Input",
    "norms": "Norms",
    "place": "Place",
    "cka": "Without positions",
    "attention": "Attention",
    "layers": "Layers",
}


def write_diagnosis(out: Path, document: Mapping[str, Any]) -> None:
    """One file with nothing to fetch, of what `diagnose.json` holds."""
    layers: Sequence[Layer] = document["layers"]
    values = {
        "title": f"Loudness of {document['encoder']}",
        "document": document,
        "last": layers[-1],
        "cards": _cards(document),
        "charts": {name: [chart(p) for p in panels] for name, panels in _panels(document).items()},
        "rows": [_row(layer) for layer in layers],
        "few": _few(document),
    }
    main = files("cloc.report").joinpath("diagnosis.html").read_text("utf-8")
    write_page(out, main, values, kind="diagnosis", sections=SECTIONS)


def _few(document: Mapping[str, Any]) -> int | None:
    """Rows of the last layer where they are under ten times its width, and CKA is raised."""
    last = document["layers"][-1]
    rows = last["norms"]["tokens"]
    return rows if last["cka"] is not None and rows < 10 * last["width"] else None


def _cards(document: Mapping[str, Any]) -> list[dict[str, str]]:
    entering, last = document["input"], document["layers"][-1]
    found = []
    if entering is not None and entering["position_over_content"] is not None:
        content, position = (entering[f"{x}_norms"]["mean"] for x in ("content", "position"))
        found.append(
            {
                "title": "Position over content, where both are added",
                "value": _shown(entering["position_over_content"]),
                "foot": f"mean norms: position {position:.3g}, content {content:.3g}",
            }
        )
    if last["place"] is not None:
        without = last["place_without_positions"]
        other = "" if without is None else f"; {_shown(without)} with positions off"
        found.append(
            {
                "title": "Variance that place explains, last layer",
                "value": _shown(last["place"]["place"]),
                "foot": f"picture {_shown(last['place']['picture'])}, "
                f"rest {_shown(last['place']['rest'])}{other}",
            }
        )
    if last["cka"] is not None:
        found.append(
            {
                "title": "CKA with itself, positions off, last layer",
                "value": _shown(last["cka"]),
                "foot": "1: the same tokens, but for a turn and a scale",
            }
        )
    return found


def _panels(document: Mapping[str, Any]) -> dict[str, list[Panel]]:
    """By section; a panel of which no layer has a figure is not there."""
    layers, norms, place = document["layers"], partial(_of, "norms"), partial(_of, "place")
    token = {"median": norms("p50"), "5 %": norms("p05"), "95 %": norms("p95")}
    token |= {"longest": norms("max"), "class token and registers": _of("prefix_norms", "mean")}
    parts = {"content": place("content_norm"), "place": place("position_norm")}
    own: dict[str, Value] = {
        "as it is": place("place"),
        "positions off": itemgetter("place_without_positions"),
    }
    others = {"picture": place("picture"), "rest": place("rest")}
    read = {"row": _of("read", "row"), "column": _of("read", "column")}
    found = {
        "norms": [
            _panel(layers, "norm of a token", token, log=True),
            _panel(layers, "part of the place, part of the content", parts, log=True),
            *_outliers(layers, norms("outliers")),
        ],
        "place": [
            _panel(layers, "place, share of variance", own),
            _panel(layers, "picture and rest, share of variance", others),
            _panel(layers, "row and column, R2 of a linear map", read),
        ],
        "cka": [_panel(layers, "CKA, positions on and off", {"CKA": itemgetter("cka")})],
        "attention": [
            _panel(layers, "entropy over that of uniform", _heads("entropy"), level=1.0),
            _panel(
                layers, "distance, patches", _heads("distance"), level=document["uniform_distance"]
            ),
            _panel(layers, "share on class token and registers", _heads("on_prefix")),
        ],
    }
    return {name: [p for p in panels if p.curves] for name, panels in found.items()}


def _outliers(layers: Sequence[Layer], share: Value) -> list[Panel]:
    """Nothing where no layer has one."""
    found = _panel(layers, "outliers, share of tokens", {"share": share})
    return [found] if any(map(share, layers)) else []


def _of(part: str, key: str) -> Value:
    return lambda layer: (layer[part] or {}).get(key)


def _heads(key: str) -> dict[str, Value]:
    def head(which: str) -> Value:
        return lambda layer: layer["attention"] and layer["attention"][key][which]

    return {"mean of heads": head("mean"), "least": head("low"), "greatest": head("high")}


def _panel(
    layers: Sequence[Layer],
    title: str,
    lines: Mapping[str, Value],
    *,
    level: float | None = None,
    log: bool = False,
) -> Panel:
    """Lines by their names, the first whole and the others dashed."""
    curves = [
        _curve(layers, label, colour, value, dashed=colour != RUN_COLOUR)
        for (label, value), colour in zip(lines.items(), COLOURS, strict=False)
    ]
    return Panel(title, tuple(curve for curve in curves if curve is not None), level, log)


def _curve(
    layers: Sequence[Layer],
    label: str,
    colour: str,
    value: Value,
    *,
    dashed: bool,
) -> Curve | None:
    """Over the number of the layer; None where none has the figure."""
    found = [(i, value(layer)) for i, layer in enumerate(layers)]
    known = [(i, x) for i, x in found if x is not None]
    if not known:
        return None
    steps, values = (np.array(column, np.float64) for column in zip(*known, strict=True))
    return Curve(label, steps, values, colour, dashed)


def _row(layer: Layer) -> list[str]:
    norms, place, seen = layer["norms"], layer["place"] or {}, layer["attention"] or {}

    def of_heads(key: str) -> str:
        found = seen.get(key)
        if not found or found["mean"] is None:
            return _shown(None)
        return f"{found['mean']:.2f} ({found['low']:.2f} to {found['high']:.2f})"

    return [
        layer["name"],
        "x".join(map(str, layer["grid"])),
        *(f"{norms[key]:.3g}" for key in ("p50", "max")),
        f"{norms['outliers']:.1%}",
        *(_shown(place.get(key)) for key in ("place", "picture", "rest")),
        _shown(layer["place_without_positions"]),
        ", ".join(_shown(_of("read", side)(layer)) for side in ("row", "column")),
        _shown(layer["cka"]),
        *(of_heads(key) for key in ("entropy", "distance", "on_prefix")),
    ]


def _shown(value: float | None) -> str:
    """Three decimals, four figures of what is 10 and more; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    return f"{value:.4g}" if abs(value) >= 10 else f"{round(value, 3) + 0.0:.3f}"
