"""FG-OVD and RefCOCO from their files: a box and its captions, a sentence and its boxes."""

import json

import numpy as np

from tests.faults.independent.figure import Figure, counted, margin

LEVELS = {
    "hard": "1_attributes",
    "medium": "2_attributes",
    "easy": "3_attributes",
    "trivial": "shuffle_negatives",
}


def fg_ovd(regions, root, photographs, negatives=10):
    """The own caption above the first ten wrong ones; a box with fewer is left out."""
    by_number = {photo.number: photo for photo in photographs}
    found = {}
    for level, name in LEVELS.items():
        told = json.loads((root / f"{name}.json").read_text())
        texts = {row["id"]: row["name"] for row in told["categories"]}
        margins, places = {}, {}
        for row in told["annotations"]:
            wrong = row["neg_category_ids"][:negatives]
            if len(wrong) < negatives:
                continue
            place = places[row["image_id"]] = places.get(row["image_id"], -1) + 1
            photo = by_number[row["image_id"]]
            said = regions.clip.texts([texts[i] for i in (row["category_id"], *wrong)])
            [scores] = regions.scores(photo.seen, photo.open, [_corners(row["bbox"])], said)
            margins[f"{photo.key}:{place}"] = margin(scores, np.arange(negatives + 1) == 0)
        found[level] = counted(margins, 1 / (1 + negatives))
    return found


def _corners(bbox):
    x, y, w, h = bbox
    return x, y, x + w, y + h


def iou(a, b):
    """Of (x0, y0, x1, y1); ReCLIP's interpreter.py: no pixel is added."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    inside = max(w, 0) * max(h, 0)
    return inside / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside)


def referring(regions, root, photographs, *, proposals):
    """SET_SPLIT: the candidate nearest to the sentence has an IoU above 0.5 with the meant box.

    Candidates are the annotated boxes of the picture, crowds too, or those of proposals.json. Of a
    tie between a hit and another the answer is wrong, and so it is without a candidate."""
    by_number = {photo.number: photo for photo in photographs}
    found = {}
    for of_set in ("refcoco", "refcoco+", "refcocog"):
        own = {number: {} for number in by_number}
        for row in json.loads((root / of_set / "instances.json").read_text())["annotations"]:
            own[row["image_id"]][row["id"]] = _corners(row["bbox"])
        others = {}
        if proposals:
            for row in json.loads((root / of_set / "proposals.json").read_text()):
                others.setdefault(row["image_id"], []).append(_corners(row["bbox"]))
        for ref in _refs(root / of_set):
            if ref["split"] == "train":
                continue
            photo, meant = by_number[ref["image_id"]], own[ref["image_id"]][ref["ann_id"]]
            boxes = others.get(photo.number, []) if proposals else [*own[photo.number].values()]
            split = found.setdefault(f"{of_set}_{ref['split']}", ({}, {}, {}))
            _asked(regions, photo, ref, meant, boxes, split)
    answers = {name: counted(margins, chances) for name, (margins, _, chances) in found.items()}
    return answers | {f"{name}_ceiling": Figure(own[1]) for name, own in found.items()}


def _refs(folder):
    if (folder / "refs.json").exists():
        return json.loads((folder / "refs.json").read_text())
    return [json.loads(line) for line in (folder / "refs.jsonl").read_text().split("\n") if line]


def _asked(regions, photo, ref, meant, boxes, split):
    margins, possible, chances = split
    hits = np.array([iou(box, meant) > 0.5 for box in boxes], bool)
    for i, said in enumerate(ref["sentences"]):
        text = said if isinstance(said, str) else said["sent"]
        case = f"{photo.key}:{ref['ann_id']}:{ref['ref_id']}.{i}"
        possible[case] = float(hits.any())
        margins[case], chances[case] = -1.0, hits.mean() if len(hits) else 0.0
        if hits.any():
            vector = regions.clip.texts([text])
            scores = regions.scores(photo.seen, photo.open, boxes, vector)[:, 0]
            margins[case] = margin(scores, hits)
