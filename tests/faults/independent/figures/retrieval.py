"""Recalls: of boxes and their phrases, of pictures and their captions.

Captions that the text tower reads alike are one query (our own departure from CLIP_benchmark, which
counts each; `upstream` measures by how much).
"""

import numpy as np

from tests.faults.independent.figure import counted, hit, margin


def recall(scores, right, ks, name, rows):
    """scores [n, m], right bool [n, m]: a hit is a right one among the best k."""
    found = {}
    for k in ks:
        both = [*zip(rows, scores, right, strict=True)]
        margins = {case: margin(s, r, k) for case, s, r in both}
        chances = {case: hit(int(r.sum()), len(r), k) for case, _, r in both}
        found[f"{name}_r@{k}"] = counted(margins, chances)
    return found


def image_text(clip, photographs, ks=(1, 5, 10)):
    vectors = np.float64(clip.pictures([photo.open() for photo in photographs]))
    texts, owners = {}, {}
    for i, photo in enumerate(photographs):
        for caption in photo.captions:
            ids = clip.ids(caption)
            texts.setdefault(ids, " ".join(caption.split()))
            owners.setdefault(ids, set()).add(i)
    scores = vectors @ np.float64(clip.texts([*texts.values()])).T
    right = np.array([[i in own for own in owners.values()] for i in range(len(photographs))])
    there = recall(scores, right, ks, "i2t", [photo.key for photo in photographs])
    return there | recall(scores.T, right.T, ks, "t2i", [*texts.values()])


def image_text_upstream(clip, photographs, ks=(1, 5, 10)):
    """CLIP_benchmark: every caption is a query, and a picture's captions are five rows."""
    vectors = np.float64(clip.pictures([photo.open() for photo in photographs]))
    rows = [(i, caption) for i, photo in enumerate(photographs) for caption in photo.captions]
    scores = vectors @ np.float64(clip.texts([caption for _, caption in rows])).T
    right = np.array([[i == own for own, _ in rows] for i in range(len(photographs))])
    there = recall(scores, right, ks, "i2t", range(len(scores)))
    return there | recall(scores.T, right.T, ks, "t2i", range(len(rows)))


def region(regions, photographs, classes, names, ks):
    """A phrase of COCO's shards is the name of the class."""
    seen = sorted({thing.name for photo in photographs for thing in photo.boxed})
    texts = classes[[names.index(name) for name in seen]]
    scores, cases, owners = [], [], []
    for photo in photographs:
        boxes = [thing.box for thing in photo.boxed]
        if boxes:
            scores.append(regions.scores(photo.seen, photo.open, boxes, texts))
        cases += [f"{photo.key}:{i}" for i in range(len(boxes))]
        owners += [thing.name for thing in photo.boxed]
    scores = np.concatenate(scores)
    right = np.array([[own == name for name in seen] for own in owners])
    there = recall(scores, right, ks, "r2t", cases)
    return there | recall(scores.T, right.T, ks, "t2r", seen)
