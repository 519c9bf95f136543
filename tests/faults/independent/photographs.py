"""COCO's own JSON and JPEG files, read without anything of ours."""

import json
from typing import NamedTuple

import PIL.Image

from tests.helpers.photos import MINI

PICTURES = MINI / "train2017"
INSTANCES = MINI / "annotations/instances_train2017.json"
CAPTIONS = MINI / "annotations/captions_train2017.json"


class Thing(NamedTuple):
    """An annotation; `box` is (x0, y0, x1, y1) in pixels, `number` COCO's id of it."""

    box: tuple[float, float, float, float]
    name: str
    crowd: bool
    number: int
    polygons: object  # COCO's segmentation


class Photograph(NamedTuple):
    file: str
    number: int
    width: int
    height: int
    things: tuple[Thing, ...]  # crowds too, in the order of the file
    captions: tuple[str, ...]

    @property
    def key(self):
        return self.file.removesuffix(".jpg")

    @property
    def boxed(self):
        """The things that the importer of COCO keeps: all but crowds."""
        return [thing for thing in self.things if not thing.crowd]

    def open(self):
        """The stored pixels in RGB."""
        with PIL.Image.open(PICTURES / self.file) as image:
            return image.convert("RGB")


def class_names():
    """COCO's 80, in the order of their ids."""
    rows = json.loads(INSTANCES.read_text())["categories"]
    return [row["name"] for row in sorted(rows, key=lambda row: row["id"])]


def photographs(most=None):
    """The first `most` of them by file name."""
    told, said = json.loads(INSTANCES.read_text()), json.loads(CAPTIONS.read_text())
    names = {row["id"]: row["name"] for row in told["categories"]}
    things, captions = {}, {}
    for row in told["annotations"]:
        x, y, w, h = row["bbox"]
        found = Thing(
            (x, y, x + w, y + h),
            names[row["category_id"]],
            bool(row["iscrowd"]),
            row["id"],
            row["segmentation"],
        )
        things.setdefault(row["image_id"], []).append(found)
    for row in said["annotations"]:
        captions.setdefault(row["image_id"], []).append(row["caption"])
    rows = sorted(told["images"], key=lambda row: row["file_name"])[:most]
    return [
        Photograph(
            row["file_name"],
            row["id"],
            row["width"],
            row["height"],
            tuple(things.get(row["id"], ())),
            tuple(captions.get(row["id"], ())),
        )
        for row in rows
    ]
