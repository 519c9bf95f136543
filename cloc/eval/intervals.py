"""How far a figure can be trusted: bootstrap intervals of one result, and of two on the same cases.

Cases are drawn again with replacement (Efron 1979), the same draws for both of a pair, so that what
is hard for both cancels out.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from cloc.eval.measured import Cases

DRAWS, SEED, LEVEL = 1000, 0, 0.95
_AT_ONCE = 1 << 22  # cases drawn at a time


class Interval(NamedTuple):
    """Percentiles of the drawn means: 0.025 and 0.975."""

    low: float
    high: float


def interval(cases: Cases, *, draws: int = DRAWS) -> Interval:
    """Of a mean, or of a mean of class means: 95 %."""
    return _percentiles(drawn_means(cases, draws=draws))


def difference(ours: Cases, theirs: Cases, *, draws: int = DRAWS) -> tuple[float, Interval, int]:
    """`ours` less `theirs` over the cases that both have, its interval, and how many these are; of
    no common case NaN."""
    row_of = {name: row for row, name in enumerate(theirs.names)}
    pairs = [(row, row_of[name]) for row, name in enumerate(ours.names) if name in row_of]
    if not pairs:
        return float("nan"), Interval(float("nan"), float("nan")), 0
    left, right = torch.tensor(pairs).T
    first, second = _taken(ours, left), _taken(theirs, right)
    drawn = drawn_means(first, draws=draws) - drawn_means(second, draws=draws)
    return first.mean() - second.mean(), _percentiles(drawn), len(pairs)


def drawn_means(cases: Cases, *, draws: int = DRAWS) -> Float[Tensor, " k"]:
    """The figure of each of `draws` sets of cases, the same sets for as many cases; a draw that
    misses a class leaves it out."""
    values, count = cases.values.double(), len(cases.values)
    generator = torch.Generator().manual_seed(SEED)
    found = []
    step = max(_AT_ONCE // max(count, 1), 1)
    for start in range(0, draws, step):
        rows = torch.randint(count, (min(step, draws - start), count), generator=generator)
        found.append(values[rows].mean(1) if cases.classes is None else _class_means(cases, rows))
    return torch.cat(found)


def _class_means(cases: Cases, rows: Tensor) -> Tensor:
    assert cases.classes is not None
    _, classes = cases.classes.unique(return_inverse=True)
    width = int(classes.max()) + 1
    own, values = classes[rows], cases.values.double()[rows]
    counts = torch.zeros(len(rows), width, dtype=torch.float64)
    sums = counts.clone().scatter_add_(1, own, values)
    counts.scatter_add_(1, own, torch.ones_like(values))
    means = sums / counts.clamp(min=1)
    return means.sum(1) / (counts > 0).sum(1)


def _taken(cases: Cases, rows: Tensor) -> Cases:
    classes = None if cases.classes is None else cases.classes[rows]
    names = [cases.names[row] for row in rows.tolist()]
    return Cases(values=cases.values[rows], names=names, classes=classes)


def _percentiles(drawn: Tensor) -> Interval:
    rest = (1 - LEVEL) / 2
    low, high = torch.quantile(drawn, torch.tensor([rest, 1 - rest], dtype=torch.float64)).tolist()
    return Interval(low, high)
