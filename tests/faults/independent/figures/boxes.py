"""Which class a box shows: CLOC's and FG-CLIP's protocols, and the figures of every run.

CLOC, table 2: the bare name, the mean of the recalls of the classes that occur. FG-CLIP,
coco_box_cls.py: the unit mean of the unit vectors of a name in every template, the share of boxes.
Candidates are the 80 classes. Crowds are left out, as the importer does; FG-CLIP counts them.
"""

import numpy as np

from tests.faults.independent.clip import unit
from tests.faults.independent.figure import counted, margin

SIZES = (("small", 0, 32**2), ("medium", 32**2, 96**2), ("large", 96**2, float("inf")))


def class_texts(clip, names, templates):
    """[c, d] float64."""
    said = [[template.replace("{}", name) for template in templates] for name in names]
    return np.stack([unit(np.float64(clip.texts(texts)).mean(0)) for texts in said])


def classification(regions, photographs, classes, names):
    """top1, top5, macc and macc_top5 of all boxes, and of small, medium and large ones."""
    margins, labels, sizes = ({1: {}, 5: {}}, {}, {})
    for photo in photographs:
        things = photo.boxed
        if not things:
            continue
        scores = regions.scores(photo.seen, photo.open, [t.box for t in things], classes)
        for i, (thing, row) in enumerate(zip(things, scores, strict=True)):
            case = f"{photo.key}:{i}"
            labels[case], sizes[case] = names.index(thing.name), _area(thing.box)
            for k, own in margins.items():
                own[case] = margin(row, np.arange(len(names)) == labels[case], k)
    return with_sizes(margins, labels, sizes, len(names))


def with_sizes(margins, labels, sizes, num_classes):
    """Where there are no `sizes`, of all cases alone."""
    found = {}
    for k, mean in ((1, "macc"), (5, "macc_top5")):
        every = counted(margins[k], min(k, num_classes) / num_classes)
        parts = {"": every}
        for size, low, high in SIZES if sizes else ():
            parts[f"_{size}"] = every.only({n for n, area in sizes.items() if low <= area < high})
        for end, figure in parts.items():
            if figure is not None:
                found |= {f"top{k}{end}": figure, f"{mean}{end}": figure.by(labels)}
    return found


def _area(box):
    """Square pixels, of float32 sides as shards' boxes are read."""
    x0, y0, x1, y1 = map(np.float32, box)
    return float((x1 - x0) * (y1 - y0))


def region_classification(regions, photographs, classes, names):
    """top1, class_mean, and within_image: the own name among those of the picture."""
    found = classification(regions, photographs, classes, names)
    margins, chances = {}, {}
    for photo in photographs:
        own = sorted({thing.name for thing in photo.boxed})
        if len(own) < 2:
            continue
        texts = classes[[names.index(name) for name in own]]
        boxes = [thing.box for thing in photo.boxed]
        scores = regions.scores(photo.seen, photo.open, boxes, texts)
        for i, (thing, row) in enumerate(zip(photo.boxed, scores, strict=True)):
            case = f"{photo.key}:{i}"
            margins[case] = margin(row, [name == thing.name for name in own])
            chances[case] = 1 / len(own)
    return {
        "top1": found["top1"],
        "class_mean": found["macc"],
        "within_image": counted(margins, chances),
    }
