"""VSR: a caption is taken for true where its cosine is above the threshold that is right most often
on the dev file. Of equally good ones our pages say nothing: it is the middle one, and where phrases
are asked for that are not there (heat.py) the lowest; midway between two scores that are no tie."""

import json
from itertools import pairwise

import numpy as np

from tests.faults.independent.figure import TIE, Figure, counted
from tests.faults.independent.figures import choices
from tests.faults.independent.figures.choices import VIEWS, Case

OPPOSITE = {"left of": "right of", "above": "below", "in front of": "behind"}
OPPOSITE |= {value: key for key, value in OPPOSITE.items()}


def rows_of(root, split, name):
    text = (root / "splits" / split / f"{name}.jsonl").read_text()
    return [json.loads(line) for line in text.split("\n") if line]


def _cosines(clip, root, rows, view):
    shown = [view(Case("", root, f"images/{row['image']}", [])) for row in rows]
    texts = np.float64(clip.texts([row["caption"] for row in rows]))
    return (np.float64(clip.pictures(shown)) * texts).sum(1)


def best_threshold(scores, truth, *, of_best):
    """One place after the other is tried, from below; `of_best` picks of how many."""
    order = np.sort(scores)
    tried = [order[0] - 1]
    tried += [(a + b) / 2 for a, b in pairwise(order) if b - a > TIE]
    tried.append(order[-1] + 1)
    right = [((scores > place) == truth).sum() for place in tried]
    best = np.flatnonzero(right == np.max(right))
    return tried[best[of_best(len(best))]]


def middle(count):
    return count // 2


def lowest(count):
    return 0


def figures(clip, root, split):
    dev, test = (rows_of(root, split, name) for name in ("dev", "test"))
    truth = [np.array([row["label"] == 1 for row in rows]) for rows in (dev, test)]
    names = [f"images/{row['image']} {row['caption']}" for row in test]
    relations = dict(zip(names, (row["relation"] for row in test), strict=True))
    found = {}
    for end, view in VIEWS.items():
        scores = [_cosines(clip, root, rows, view) for rows in (dev, test)]
        off = scores[1] - best_threshold(scores[0], truth[0], of_best=middle)
        margins = np.where(truth[1], off, -off)
        rows = zip(names, margins.tolist(), strict=True)
        every = counted(dict(rows), 0.5)
        found |= {f"accuracy{end}": every, f"macro_relation{end}": every.by(relations)}
    commoner = truth[0].mean() > 0.5
    constant = {name: float(t == commoner) for name, t in zip(names, truth[1], strict=True)}
    return found | {"accuracy_constant": Figure(constant)} | _flipped(clip, root, test)


def _flipped(clip, root, rows):
    """True captions against the same words with the opposite relation."""
    cases = []
    for row in rows:
        relation, path = row["relation"], f"images/{row['image']}"
        if row["label"] == 1 and relation in OPPOSITE:
            said = [row["caption"], row["caption"].replace(relation, OPPOSITE[relation])]
            cases.append(Case(f"{path} {said[0]}", root, path, said, tag=relation))
    found = choices.figures(clip, cases, macro="relation")
    return {f"flipped_{name}": figure for name, figure in found.items()}
