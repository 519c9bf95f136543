"""Two results side by side: metrics.json and cases.npz of ours, and figures of `theirs`."""

import json

import numpy as np

EXACT = 1e-6  # of a figure: ours keeps cases in float32 and sums in float64


def read_ours(out, behind=""):
    """(metrics, {(benchmark, metric): {case: value}}); `behind` the names of benchmarks."""
    told = json.loads((out / "metrics.json").read_text())
    metrics = {f"{benchmark}{behind}": own for benchmark, own in told.items()}
    cases = {}
    with np.load(out / "cases.npz") as arrays:
        for key in arrays:
            if key.endswith("|names"):
                name = key.removesuffix("|names")
                values = arrays[f"{name}|values"]
                benchmark, metric = name.split("|")
                both = zip(map(_bare, arrays[key]), map(float, values), strict=True)
                cases[f"{benchmark}{behind}", metric] = dict(both)
    return metrics, cases


def compare(ours, theirs):
    """rows [benchmark, metric, ours, theirs, cases that differ [(case, ours, theirs, margin)], how
    much the figure may be off by near ties], and what stands on one side alone."""
    metrics, cases = ours
    rows, lonely = [], []
    for benchmark, figures in theirs.items():
        own = metrics.get(benchmark, {})
        for metric, figure in figures.items():
            if metric not in own:
                lonely.append(f"{benchmark}.{metric}: theirs alone")
                continue
            differ = _different(cases.get((benchmark, metric)), figure)
            given = (own[metric], figure.value, differ, figure.value_slack)
            rows.append((benchmark, metric, *given))
            if (chance := f"{metric}_chance") in own:
                rows.append((benchmark, chance, own[chance], figure.chance, [], 0.0))
    for benchmark, own in metrics.items():
        for metric in own:
            known = metric.removesuffix("_chance") in theirs.get(benchmark, {})
            if not known:
                lonely.append(f"{benchmark}.{metric}: ours alone")
    return rows, lonely


def _different(ours, figure):
    if ours is None:
        return []
    theirs = {_bare(case): value for case, value in figure.values.items()}
    margins = {_bare(case): value for case, value in figure.margins.items()}
    slack = {_bare(case): value for case, value in figure.slack.items()}
    every = dict.fromkeys([*ours, *theirs])
    pairs = {case: (ours.get(case), theirs.get(case)) for case in every}
    return [
        (case, own, other, margins.get(case))
        for case, (own, other) in pairs.items()
        if own is None or other is None or abs(own - other) > EXACT + slack.get(case, 0.0)
    ]


def _bare(case):
    """Names of ours are of captions without the spaces around them."""
    return str(case).strip()
