"""A small COCO panoptic set, in COCO's files: the things of the photographs, and stuff behind."""

import json

import numpy as np
import PIL.Image
import PIL.ImageDraw

from tests.faults.independent.photographs import INSTANCES

# COCO's ids; (x0, y0, x1, y1) in shares of the picture
STUFF = {
    (187, "sky-other-merged"): (0.0, 0.0, 1.0, 0.3),
    (190, "floor-other-merged"): (0.0, 0.75, 0.6, 1.0),
    (193, "grass-merged"): (0.6, 0.75, 1.0, 1.0),
    (171, "wall-brick"): (0.0, 0.3, 0.4, 0.75),
    (112, "door-stuff"): (0.4, 0.3, 0.5, 0.75),
    (178, "water-other"): (0.5, 0.3, 1.0, 0.75),
}


def write_panoptic(root, photographs):
    """annotations/panoptic_val2017.json, its PNGs, and val2017 under `root`."""
    (root / "annotations/panoptic_val2017").mkdir(parents=True)
    things = json.loads(INSTANCES.read_text())["categories"]
    ids = {row["name"]: row["id"] for row in things}
    categories = [{**row, "isthing": 1} for row in things]
    categories += [{"id": i, "name": n, "supercategory": "", "isthing": 0} for i, n in STUFF]
    images, annotations = [], []
    for turn, photo in enumerate(photographs):
        photo.put(root / "val2017" / photo.file)
        size = {"width": photo.width, "height": photo.height}
        images.append({"id": photo.number, "file_name": photo.file, **size})
        numbers, segments = _segments(photo, ids, turn)
        name = f"{photo.key}.png"
        _png(numbers).save(root / "annotations/panoptic_val2017" / name)
        row = {"image_id": photo.number, "file_name": name, "segments_info": segments}
        annotations.append(row)
    told = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations/panoptic_val2017.json").write_text(json.dumps(told))


def _segments(photo, ids, turn):
    """int [h, w] of segment ids, and COCO's rows of those of which something is to be seen. Each
    picture lacks one kind of stuff and shows 0, "nothing", there."""
    numbers, rows = np.zeros((photo.height, photo.width), np.int64), []
    for i, ((category, _), (x0, y0, x1, y1)) in enumerate(STUFF.items()):
        if i != turn % len(STUFF):
            number = 1_000_000 + 70_000 * i + turn
            where = slice(round(y0 * photo.height), round(y1 * photo.height))
            numbers[where, round(x0 * photo.width) : round(x1 * photo.width)] = number
            rows.append((number, category, 0))
    for i, thing in enumerate(photo.things):
        number = 257 * i + 1 + turn
        numbers[mask_of(photo, thing)] = number
        rows.append((number, ids[thing.name], int(thing.crowd)))
    return numbers, [_row(numbers, *row) for row in rows if (numbers == row[0]).any()]


def _row(numbers, number, category, crowd):
    ys, xs = np.nonzero(numbers == number)
    x, y = int(xs.min()), int(ys.min())
    return {
        "id": number,
        "category_id": category,
        "iscrowd": crowd,
        "bbox": [x, y, int(xs.max()) + 1 - x, int(ys.max()) + 1 - y],
        "area": len(xs),
    }


def mask_of(photo, thing):
    """bool [h, w] of COCO's polygons, or of the run lengths of a crowd (column by column)."""
    if isinstance(thing.polygons, dict):
        runs = thing.polygons["counts"]
        flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return flat.reshape(photo.width, photo.height).T
    drawn = PIL.Image.new("1", (photo.width, photo.height))
    for polygon in thing.polygons:
        PIL.ImageDraw.Draw(drawn).polygon(polygon, fill=1)
    return np.asarray(drawn)


def _png(numbers):
    """COCO's code: red + 256 green + 65536 blue."""
    channels = [numbers // 256**i % 256 for i in range(3)]
    return PIL.Image.fromarray(np.stack(channels, -1).astype(np.uint8))
