"""What a figure loses where patches are in another order: lines beside it, never without it."""

from collections.abc import Mapping

from cloc.eval.measured import Figures, Measured

LINE, INDEX = "permuted", "psi"
CONTROLS = ("_permuted", "_blind", "_mirrored", "_mirrored_turned")  # of a benchmark's own


def with_lines(
    values: Mapping[str, float], others: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """`values` with, for each kind of `others`, `{metric}_permuted_{kind}` and the permutation
    sensitivity index `{metric}_psi_{kind}`, (figure - permuted) / figure (arXiv 2503.17349): 0
    where the order of patches says nothing, 1 where all of the figure hangs on it. A figure of 0
    has none. Of the figures that have cases, or else a chance line."""
    lines: dict[str, float] = {}
    for metric in figures_of(values):
        for kind, other in others.items():
            if metric not in other:
                continue
            lines[f"{metric}_{LINE}_{kind}"] = other[metric]
            if values[metric] > 0:
                lost = (values[metric] - other[metric]) / values[metric]
                lines[f"{metric}_{INDEX}_{kind}"] = lost
    if isinstance(values, Measured):
        return values | Measured(Figures(controls=lines))
    return {**values, **lines}


def figures_of(values: Mapping[str, float]) -> list[str]:
    """Names of what was measured, without the lines beside it."""
    cases = values.figures.cases if isinstance(values, Measured) else ()
    return [
        metric
        for metric in values
        if (metric in cases or f"{metric}_chance" in values) and not metric.endswith(CONTROLS)
    ]
