"""The pointing game over phrases, and whether a phrase is there at all."""

import hashlib

import numpy as np

from tests.faults.independent.figure import NOISE, TIE, Figure, counted
from tests.faults.independent.figures.statements import best_threshold, lowest

CELLS = 12


def grid(photo):
    """Middles of the cells, and boxes three cells wide around them, cut at the border."""
    w, h = photo.width / CELLS, photo.height / CELLS
    middles = [((c + 0.5) * w, (r + 0.5) * h) for r in range(CELLS) for c in range(CELLS)]
    boxes = [
        (
            max(x - 1.5 * w, 0),
            max(y - 1.5 * h, 0),
            min(x + 1.5 * w, photo.width),
            min(y + 1.5 * h, photo.height),
        )
        for x, y in middles
    ]
    return middles, boxes


def inside(point, box):
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def first_of(photo):
    """Phrase -> the name of its first box."""
    found = {}
    for i, thing in enumerate(photo.boxed):
        found.setdefault(thing.name, f"{photo.key}:{i}")
    return found


def pointing(regions, photographs, classes, names):
    """acc, acc_ceiling, acc_random_point (of a random cell) and acc_centre_point."""
    margins, possible, random, centre = {}, {}, {}, {}
    for photo in photographs:
        own = first_of(photo)
        if not own:
            continue
        middles, boxes = grid(photo)
        texts = classes[[names.index(name) for name in own]]
        scores = regions.scores(f"{photo.seen} grid", photo.open, boxes, texts)
        for (name, case), heat in zip(own.items(), scores.T, strict=True):
            true = [thing.box for thing in photo.boxed if thing.name == name]
            hits = np.array([any(inside(point, box) for box in true) for point in middles])
            possible[case], random[case] = float(hits.any()), float(hits.mean())
            middle = (photo.width / 2, photo.height / 2)
            centre[case] = float(any(inside(middle, box) for box in true))
            best = heat[hits].max() if hits.any() else -np.inf
            other = heat[~hits].max() if not hits.all() else -np.inf
            margins[case] = float(best - other)
    chance = max(np.mean([*random.values()]), np.mean([*centre.values()]))
    return {
        "acc": counted(margins, float(chance)),
        "acc_ceiling": Figure(possible),
        "acc_random_point": Figure(random),
        "acc_centre_point": Figure(centre),
    }


def absent_of(photographs, seed=0):
    """{key: (own phrases, as many of other pictures)}: the first phrases of a shuffled list of all
    (`seed` and the picture's place say how) that are of no class of the picture."""
    phrased = [photo for photo in photographs if photo.boxed]
    pool = [name for photo in phrased for name in dict.fromkeys(t.name for t in photo.boxed)]
    found = {}
    for i, photo in enumerate(phrased):
        own = [*dict.fromkeys(thing.name for thing in photo.boxed)]
        order = np.random.default_rng((seed, i)).permutation(len(pool))
        others = dict.fromkeys(pool[at] for at in order if pool[at] not in own)
        absent = [*others][: len(own)]
        found[photo.key] = own[: len(absent)], absent
    return found


def none_there(regions, photographs, classes, names):
    """auroc, over all; accuracy of the threshold of the pictures of an even hash, on the others."""
    scores, there, even, cases = [], [], [], []
    asked = absent_of(photographs)
    for photo in photographs:
        if photo.key not in asked:
            continue
        own, absent = asked[photo.key]
        texts = classes[[names.index(phrase) for phrase in (*own, *absent)]]
        boxes = [thing.box for thing in photo.boxed]
        scores += regions.scores(photo.seen, photo.open, boxes, texts).max(0).tolist()
        there += [True] * len(own) + [False] * len(absent)
        even += [hashlib.blake2b(photo.key.encode()).digest()[0] % 2 == 0] * 2 * len(own)
        cases += [first_of(photo)[name] for name in own]
        cases += [f"{photo.key}:not:{i}" for i in range(len(absent))]
    scores, there, even, cases = map(np.array, (scores, there, even, cases))
    off_tie = scores[there, None] - scores[~there] - TIE
    above = dict(zip(cases[there], (off_tie > 0).mean(1).tolist(), strict=True))
    near = zip(cases[there], (abs(off_tie) < NOISE).mean(1).tolist(), strict=True)
    slack = {case: share for case, share in near if share}
    found = {"auroc": Figure(above, chances=0.5, slack=slack)}
    if even.any() and not even.all():
        off = scores - best_threshold(scores[even], there[even], of_best=lowest)
        margins = np.where(there, off, -off)[~even]
        answers = dict(zip(cases[~even], margins.tolist(), strict=True))
        found["accuracy"] = counted(answers, 0.5)
    return found
