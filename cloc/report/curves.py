"""The curves of a run: reads `metrics.jsonl` and draws one small SVG chart per metric."""

import io
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cloc.data.samples.json_files import read_rows

RUN_COLOUR, TWIN_COLOUR = "#2f7df6", "#f08c1a"  # readable on light and on dark paper
_MORE_COLOURS = (RUN_COLOUR, "#12a594", "#b45ad6", "#d6562b", "#8a8f98", "#c79a00")
_AT_MOST = len(_MORE_COLOURS)  # lines in one chart
_INK = "#0a0b0c"  # stands for the text colour of the page and is replaced by `currentColor`
_MAX_POINTS = 300

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, sharp and in the page's font
    "font.size": 8,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
}

_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


class Curve(NamedTuple):
    """One line of a chart; `steps` rise, a value may be NaN."""

    label: str
    steps: np.ndarray
    values: np.ndarray
    colour: str
    dashed: bool = False

    @property
    def last(self) -> float:
        """The last finite value; NaN where there is none."""
        finite = self.values[np.isfinite(self.values)]
        return float(finite[-1]) if len(finite) else math.nan

    @property
    def num_lost(self) -> int:
        """How many values are not finite."""
        return int((~np.isfinite(self.values)).sum())


class Panel(NamedTuple):
    """One chart: `chance` is a horizontal line."""

    title: str
    curves: tuple[Curve, ...]
    chance: float | None
    log: bool = False


# (heading, prefixes of the keys, drawn together in one chart?, log axis?), first match wins
_GROUPS: tuple[tuple[str, tuple[str, ...], bool, bool], ...] = (
    ("Training", ("train/",), False, False),
    ("Benchmark", ("val/", "novel/"), False, False),
    ("Kept of the start", ("retention/",), False, False),
    ("Logit scales", ("scale/",), True, False),
    ("Gradient norms", ("grad/",), True, True),
    ("Optimizer", ("optim/",), False, False),
    ("Speed and memory", ("speed/", "memory/"), False, False),
    ("Other", ("",), False, False),
)


def read_series(path: Path) -> dict[str, dict[int, float]]:
    """Metric name -> step -> value, of `read_rows`. Where a resumed run logged a step again, the
    later line wins."""
    series: dict[str, dict[int, float]] = {}
    for row in read_rows(path):
        step = row.pop("step")
        for key, value in row.items():
            if value is None or isinstance(value, (int, float)):
                series.setdefault(key, {})[step] = math.nan if value is None else float(value)
    return series


def panels(
    run: Mapping[str, Mapping[int, float]], twin: Mapping[str, Mapping[int, float]]
) -> dict[str, list[Panel]]:
    """Heading -> charts; every key of `run` is in exactly one, and its chance is a line in it.

    The twin's curve is drawn beside the run's.
    """
    grouped: dict[str, list[str]] = {heading: [] for heading, *_ in _GROUPS}
    for key in sorted(run):
        if not _is_reference(key, run):
            grouped[_heading(key)].append(key)
    found = {}
    for heading, _, together, log in _GROUPS:
        keys = grouped[heading]
        if together and keys:
            parts = [keys[i : i + _AT_MOST] for i in range(0, len(keys), _AT_MOST)]
            found[heading] = [_overlaid(part, run, log=log) for part in parts]
        elif keys:
            found[heading] = [_beside_twin(key, run, twin) for key in keys]
    return found


def draw(panel: Panel) -> str:
    """An `<svg>` without title or legend, which the page writes; ink follows the page's colour."""
    with rc_context(
        {**_STYLE, "svg.hashsalt": f"{panel.title} {panel.curves[0].label}"}
    ):  # ids of two charts must not meet
        figure = Figure(figsize=(3.5, 1.75), layout="constrained")
        axes = figure.add_subplot()
        if not any(math.isfinite(curve.last) for curve in panel.curves):
            place = axes.transAxes  # no data, so no data coordinates
            axes.text(0.5, 0.5, "no finite value", ha="center", color=_INK, transform=place)
        for curve in panel.curves:
            _line(axes, curve)
        if panel.chance is not None:
            axes.axhline(panel.chance, color="#8a8f98", linewidth=0.9, linestyle=(0, (2, 2)))
        if panel.log and _all_positive(panel.curves):
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(axis="y", color=_INK, alpha=0.12, linewidth=0.6)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :].replace(_INK, "currentColor")


def chart(panel: Panel) -> dict[str, Any]:
    """A panel as a page shows it: drawing, legend with last values, and what it leaves out."""
    lost = sum(curve.num_lost for curve in panel.curves)
    total = sum(len(curve.values) for curve in panel.curves)
    return {
        "title": panel.title,
        "svg": Markup(draw(panel)),
        "legend": [(c.label, c.colour, c.dashed, _short(c.last)) for c in panel.curves],
        "chance": None if panel.chance is None else _short(panel.chance),
        "note": f"{lost} of {total} values are not finite" if lost else "",
    }


def _short(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "not finite"


def thinned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most 300 points, each the mean of the finite values of its bin, NaN where there are none.

    A short curve is returned as it is.
    """
    if len(steps) <= _MAX_POINTS:
        return steps, values
    edges = np.linspace(0, len(steps), _MAX_POINTS + 1).astype(int)
    bins = [slice(a, b) for a, b in pairwise(edges)]
    means = []
    for part in bins:
        finite = values[part][np.isfinite(values[part])]
        means.append(finite.mean() if len(finite) else math.nan)
    return np.array([steps[part].mean() for part in bins]), np.array(means)


def _is_reference(key: str, run: Mapping[str, Mapping[int, float]]) -> bool:
    """A line that another chart is read against; it has no chart of its own."""
    return any(
        key.endswith(suffix) and key.removesuffix(suffix) in run
        for suffix in ("_chance", "_centre_box", "_random_box")
    )


def _heading(key: str) -> str:
    for heading, prefixes, *_ in _GROUPS:
        if key.startswith(prefixes):
            return heading
    raise AssertionError("the last group takes every key")


def _curve(label: str, points: Mapping[int, float], colour: str, *, dashed: bool = False) -> Curve:
    steps = np.array(sorted(points), np.float64)
    values = np.array([points[int(step)] for step in steps], np.float64)
    return Curve(label, steps, values, colour, dashed)


def _beside_twin(
    key: str,
    run: Mapping[str, Mapping[int, float]],
    twin: Mapping[str, Mapping[int, float]],
) -> Panel:
    curves = [_curve("this run", run[key], RUN_COLOUR)]
    if key in twin:
        curves.append(_curve("twin", twin[key], TWIN_COLOUR, dashed=True))
    chance = run.get(f"{key}_chance")
    level = chance[max(chance)] if chance else None
    return Panel(key, tuple(curves), level if level is None or math.isfinite(level) else None)


def _overlaid(keys: Sequence[str], run: Mapping[str, Mapping[int, float]], *, log: bool) -> Panel:
    curves = [
        _curve(key.partition("/")[2], run[key], _MORE_COLOURS[i % len(_MORE_COLOURS)])
        for i, key in enumerate(keys)
    ]
    return Panel(f"{keys[0].partition('/')[0]}/*", tuple(curves), None, log)


def _line(axes: Axes, curve: Curve) -> None:
    steps, values = thinned(curve.steps, curve.values)
    axes.plot(
        steps,
        values,
        color=curve.colour,
        linewidth=1.4,
        linestyle=(0, (4, 2)) if curve.dashed else "-",
        marker="o" if len(steps) < 12 else None,  # one point alone has no line
        markersize=2.5,
    )


def _all_positive(curves: Sequence[Curve]) -> bool:
    finite = np.concatenate([c.values[np.isfinite(c.values)] for c in curves])
    return bool(len(finite)) and bool((finite > 0).all())
