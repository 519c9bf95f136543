"""A figure as it is counted here: its cases, how near each was to the other answer, its value."""

import math
from dataclasses import dataclass, field, replace

import numpy as np

TIE = 1e-6  # of cosines: docs/evaluate/suites.md
NOISE = 9e-7  # of a margin of float32 vectors: so near to a tie either answer is right


@dataclass(frozen=True)
class Figure:
    """`values` of each case by name; `margins`: by how much it was right (above 0) or wrong;
    `groups`: the mean is over the cases of a group, then over groups; `chances`: what a blind guess
    gets of a case, or of every case; `slack`: how much a case may be off that is nearly a tie."""

    values: dict[str, float]
    margins: dict[str, float] = field(default_factory=dict)
    groups: dict[str, object] = field(default_factory=dict)
    chances: dict[str, float] | float | None = None
    slack: dict[str, float] = field(default_factory=dict)

    @property
    def value(self):
        return self._mean(self.values)

    @property
    def chance(self):
        if isinstance(self.chances, dict):
            return self._mean({name: self.chances[name] for name in self.values})
        return self.chances

    @property
    def value_slack(self):
        return self._mean({name: self.slack.get(name, 0.0) for name in self.values})

    def _mean(self, values):
        if not self.groups:
            return float(np.mean([*values.values()]))
        by_group = {}
        for name, value in values.items():
            by_group.setdefault(self.groups[name], []).append(value)
        return float(np.mean([np.mean(own) for own in by_group.values()]))

    def by(self, groups):
        return replace(self, groups=groups)

    def only(self, names):
        """The cases of `names`; None where there is none."""
        kept = {name: value for name, value in self.values.items() if name in names}
        return replace(self, values=kept) if kept else None


def counted(margins, chances=None):
    """Right where the margin is above a tie."""
    values = {name: float(m > TIE) for name, m in margins.items()}
    slack = {name: 1.0 for name, m in margins.items() if abs(m - TIE) < NOISE}
    return Figure(values, margins, {}, chances, slack)


def margin(scores, right, k=1):
    """Of a row of scores: the best right one less the k-th best of the others."""
    scores, right = np.asarray(scores), np.asarray(right, bool)
    others = np.sort(scores[~right])[::-1]
    return float(scores[right].max() - others[k - 1]) if len(others) >= k else float("inf")


def hit(num_right, count, k):
    """The chance that `k` of `count` drawn blindly hold one of `num_right`."""
    k = min(k, count)
    return 1 - math.comb(count - num_right, k) / math.comb(count, k)
