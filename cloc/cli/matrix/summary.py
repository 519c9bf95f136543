"""What the finished cells say together: means, intervals over seeds, and differences of pairs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from cloc.cli.matrix.plan import Cell

Found = Mapping[Cell, Mapping[str, Any]]
# Student's t at 0.975 of 1, 2, ... degrees of freedom; beyond, that of the normal distribution
T: tuple[float, ...] = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)
NORMAL = 1.96


class Figure(NamedTuple):
    """One number of a cell, in [0, 1]."""

    benchmark: str
    metric: str
    label: str
    about: str  # what it says, in words


FIGURES = (
    Figure("look_alikes", "pick", "look-alikes", "which of two equal things a relation means"),
    Figure("grounding", "acc@0.5", "grounding", "a plain name to its box, IoU above 0.5"),
    Figure("spatial_relations", "accuracy", "captions", "a true caption against its flipped form"),
    Figure("region_classification", "top1", "names of regions", "of 72 and more"),
    Figure(
        "image_text_retrieval", "i2t_r@1", "image to text", "its caption among all of the split"
    ),
)
WHERE, WHAT = FIGURES[:3], FIGURES[3:]


class Mean(NamedTuple):
    """`half` of a 95 % interval of Student's t; None of one value, of which nobody can say."""

    mean: float
    half: float | None
    values: tuple[float, ...]

    @property
    def is_clear(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.half is not None and abs(self.mean) > self.half


def mean_of(values: Iterable[float]) -> Mean | None:
    """None of no value."""
    all_of = tuple(values)
    if not all_of:
        return None
    count = len(all_of)
    if count == 1:
        return Mean(all_of[0], None, all_of)
    t = T[count - 2] if count - 2 < len(T) else NORMAL
    return Mean(fmean(all_of), t * stdev(all_of) / math.sqrt(count), all_of)


def value(told: Mapping[str, Any], size: str, benchmark: str, metric: str) -> float | None:
    """None where the cell has no such figure: CLIP grounds nothing."""
    found = told["sizes"].get(size, {}).get(benchmark, {}).get(metric)
    return None if found is None else float(found)


def over_seeds(
    found: Found, figure: Figure, *, size: str, arm: str, encoding: str, metric: str | None = None
) -> Mean | None:
    """Of one entry of a table; `metric` in place of the figure's own."""
    values = [
        value(told, size, figure.benchmark, metric or figure.metric)
        for cell, told in found.items()
        if (cell.arm, cell.encoding) == (arm, encoding)
    ]
    return mean_of(x for x in values if x is not None)


def apart(
    found: Found,
    figure: Figure,
    *,
    size: str,
    key: str,
    one: str,
    other: str,
    within: Sequence[str] | None = None,
) -> Mean | None:
    """`one` less `other` of two values of a cell's `key` (arm or encoding), over the pairs of cells
    that are alike in all else; `within` are the values of the other key that count.

    Pairs of one seed share its data order, so the interval is over seeds: a seed's pairs are
    averaged first.
    """
    rest = "encoding" if key == "arm" else "arm"
    known = {
        (getattr(cell, key), getattr(cell, rest), cell.seed): told for cell, told in found.items()
    }
    of_seed: dict[int, list[float]] = {}
    for (name, more, seed), told in known.items():
        theirs = known.get((other, more, seed))
        if name != one or theirs is None or (within is not None and more not in within):
            continue
        a, b = (value(x, size, figure.benchmark, figure.metric) for x in (told, theirs))
        if a is not None and b is not None:
            of_seed.setdefault(seed, []).append(a - b)
    return mean_of(fmean(values) for values in of_seed.values())
