"""A figure as it is counted here: its cases, how near each was to the other answer, its value."""

from typing import NamedTuple

import numpy as np

TIE = 1e-6  # of cosines: docs/evaluate/suites.md


class Figure(NamedTuple):
    """`values` of each case by name; `margins`: by how much it was right (above 0) or wrong;
    `groups`: the mean is over the cases of a group, then over groups."""

    values: dict[str, float]
    margins: dict[str, float] = {}
    groups: dict[str, object] = {}

    @property
    def value(self):
        if not self.groups:
            return float(np.mean([*self.values.values()]))
        by_group = {}
        for name, value in self.values.items():
            by_group.setdefault(self.groups[name], []).append(value)
        return float(np.mean([np.mean(own) for own in by_group.values()]))

    def by(self, groups):
        return self._replace(groups=groups)

    def only(self, names):
        """The cases of `names`; None where there is none."""
        kept = {name: value for name, value in self.values.items() if name in names}
        return self._replace(values=kept) if kept else None


def counted(margins):
    """Right where the margin is above a tie."""
    return Figure({name: float(m > TIE) for name, m in margins.items()}, margins)


def margin(scores, right, k=1):
    """Of a row of scores: the best right one less the k-th best of the others."""
    scores, right = np.asarray(scores), np.asarray(right, bool)
    others = np.sort(scores[~right])[::-1]
    return float(scores[right].max() - others[k - 1]) if len(others) >= k else float("inf")
