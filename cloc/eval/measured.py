"""What a benchmark found: its figures, and the cases each one is a mean of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cloc.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Cases:
    """The cases of one figure: a mean over `values`, or over the means of their `classes`.

    `names` are the same whatever the encoder is, so that two results can be compared case by case;
    a case may be what counts as one (a pair, a set), not what was asked. Where an answer is one of
    several, `margins` says how much nearer the right one is than the nearest wrong one (cosines,
    below 0 where it is not), and `nearest_wrong` which that is.
    """

    values: Float[Tensor, " n"]  # float64; 1 right and 0 wrong, or a score
    names: Sequence[str]
    classes: Int[Tensor, " n"] | None = None
    margins: Float[Tensor, " n"] | None = None
    nearest_wrong: Sequence[str] = ()

    def __post_init__(self) -> None:
        if len(self.names) != len(self.values):
            raise UserError(f"{len(self.names)} names for {len(self.values)} cases; give one each")

    def mean(self, rows: Int[Tensor, " m"] | None = None) -> float:
        """Of all cases, or of those in `rows`, where one may stand twice; NaN without any."""
        values = self.values if rows is None else self.values[rows]
        if self.classes is None:
            return float(values.double().mean())
        classes = self.classes if rows is None else self.classes[rows]
        counts = torch.bincount(classes)
        sums = torch.bincount(classes, weights=values.double())
        return float((sums / counts)[counts > 0].mean())


@dataclass(frozen=True, kw_only=True)
class Figures:
    """`cases` by metric; `chance` and `controls` are lines that stand beside a metric, written as
    `{metric}_chance` and under their own names; `about` says what else a reader must know."""

    cases: Mapping[str, Cases] = field(default_factory=dict)
    chance: Mapping[str, float] = field(default_factory=dict)
    controls: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


def cases_of(values: Tensor, names: Sequence[str]) -> Cases:
    """Of right and wrong (bool) or of scores."""
    return Cases(values=values.double(), names=names)


class Measured(dict[str, float]):
    """Metric -> value, as `metrics.json` has it; what it was made of is `figures`.

    A metric without a case has no key: what was not measured has no number.
    """

    def __init__(self, figures: Figures) -> None:
        found = {name: cases for name, cases in figures.cases.items() if len(cases.values)}
        super().__init__({name: cases.mean() for name, cases in found.items()})
        self.update({f"{name}_chance": x for name, x in figures.chance.items() if name in found})
        if found:
            self.update(figures.controls)
        self.figures = figures

    def __or__(self, other: Any) -> "Measured":  # type: ignore[override]
        """Of two measurements one, as of two mappings."""
        ours, theirs = self.figures, other.figures
        return Measured(
            Figures(
                cases={**ours.cases, **theirs.cases},
                chance={**ours.chance, **theirs.chance},
                controls={**ours.controls, **theirs.controls},
                about={**ours.about, **theirs.about},
            )
        )

    __ior__ = __or__  # a dict's own would forget the cases


def nothing() -> Measured:
    """Where there was nothing to measure."""
    return Measured(Figures())
