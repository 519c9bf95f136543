"""CLIPSelf's things and stuff, from COCO panoptic's own JSON and PNGs (its zero_shot.py, data.py).

Mean per class over the segments of things, and over those of stuff, each among all classes; crowds
count; below 8^2 and above 1024^2 square pixels of its box a segment does not. As our page says, a
class is called by its name without "-merged", "-other" and "-stuff", in CLIP's eighty templates.
"""

import json

import numpy as np
import PIL.Image

from tests.faults.independent import patches
from tests.faults.independent.clip import unit
from tests.faults.independent.figure import margin
from tests.faults.independent.figures.boxes import class_texts, with_sizes

LEAST, MOST = 8**2, 1024**2


class Segment:
    def __init__(self, row, photo, mask, *, drawn=False):
        x, y, w, h = row["bbox"]
        self.box, self.mask = (x, y, x + w, y + h), mask
        self.category, self.photo = row["category_id"], photo
        if drawn:  # upstream takes the box of stuff from its mask, less its last row and column
            ys, xs = np.nonzero(mask)
            self.box = tuple(map(int, (xs.min(), ys.min(), xs.max(), ys.max())))
        x0, y0, x1, y1 = self.box
        self.counts = LEAST <= (x1 - x0) * (y1 - y0) <= MOST


def read(root, photographs, *, drawn=False):
    """(categories by id in order, [(photo, its segments)])."""
    told = json.loads((root / "annotations/panoptic_val2017.json").read_text())
    categories = {row["id"]: row for row in sorted(told["categories"], key=lambda row: row["id"])}
    by_number = {photo.number: photo for photo in photographs}
    found = []
    for row in told["annotations"]:
        with PIL.Image.open(root / "annotations/panoptic_val2017" / row["file_name"]) as image:
            numbers = np.asarray(image.convert("RGB"), np.int64) @ [1, 256, 65536]
        photo = by_number[row["image_id"]]
        stuff = {i for i, category in categories.items() if not category["isthing"]}
        segments = [
            Segment(s, photo, numbers == s["id"], drawn=drawn and s["category_id"] in stuff)
            for s in row["segments_info"]
        ]
        found.append((photo, segments))
    return categories, found


def called(name):
    """ "wall-other-merged" is a wall, and "wall-brick" a "wall brick", which no page tells."""
    for end in ("-merged", "-other", "-stuff"):
        name = name.removesuffix(end)
    return name.replace("-", " ")


def figures(clip, root, photographs, vectors, templates, *, drawn=False, name=called):
    """`vectors`(photo, segments) -> float64 [n, views, d] whose mean score counts."""
    categories, pictures = read(root, photographs, drawn=drawn)
    ids = [*categories]
    texts = class_texts(clip, [name(row["name"]) for row in categories.values()], templates)
    margins, labels = {1: {}, 5: {}}, {}
    for photo, segments in pictures:
        kept = [segment for segment in segments if segment.counts]
        if not kept:
            continue
        scores = np.mean([view @ texts.T for view in vectors(photo, kept)], axis=0)
        for i, (segment, row) in enumerate(zip(kept, scores, strict=True)):
            case = f"{photo.key}:{i}"
            labels[case] = segment.category
            for k, own in margins.items():
                own[case] = margin(row, [number == segment.category for number in ids], k)
    found = {}
    for kind, isthing in (("thing", 1), ("stuff", 0)):
        own = [case for case, c in labels.items() if categories[c]["isthing"] == isthing]
        part = {k: {case: m[case] for case in own} for k, m in margins.items()}
        made = with_sizes(part, labels, {}, len(ids))
        found |= {f"{kind}_{key}": figure for key, figure in made.items()}
    return found


def by_box(regions):
    """The vectors of an extractor of boxes."""
    return lambda photo, kept: regions.vectors(photo.seen, photo.open, [s.box for s in kept])


def by_mask(clip, *, upstream=False):
    """The mean patch, each weighted by what the mask covers of it. CLIPSelf takes the unit vectors
    of the values of the last attention, ours the patches that it mixes, as they are."""

    def vectors(photo, kept):
        seen = patches.patch_map(clip, photo.open(), values=upstream)
        if upstream:
            seen = unit(seen)
        found = []
        for segment in kept:
            weights = share_of_patch(clip, segment)
            mean = np.tensordot(weights, seen, 2)
            length = np.linalg.norm(mean)
            found.append(mean / length if weights.sum() > 0 else mean)
        return np.stack(found)[None]

    return vectors


def share_of_patch(clip, segment):
    """The part of each patch of CLIP's frame that the mask covers."""
    size = segment.photo.width, segment.photo.height
    edges = np.arange(0, clip.size + 1, clip.patch)
    across, down = (
        _overlap((edges - offset) / scale, length)
        for length, (scale, offset) in zip(size, patches.place(size, clip.size), strict=True)
    )
    return down @ np.float64(segment.mask) @ across.T


def _overlap(edges, length):
    """[cells, pixels]: how much of each pixel lies in each cell."""
    pixel = np.arange(length)
    low = np.maximum(edges[:-1, None], pixel)
    return np.clip(np.minimum(edges[1:, None], pixel + 1) - low, 0, None)
