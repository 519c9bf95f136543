"""COCO's own JSON and JPEG files, read without anything of ours.

The last photograph has an EXIF orientation: its stored pixels lie on their side. Published loaders
ignore that, and annotations in the published files are of the stored pixels; those of the shards
are of what people see, so there it is shown upright.
"""

import json
import os
from typing import NamedTuple

import PIL.ExifTags
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
    on_its_side: bool = False  # the file has EXIF's code 6: to be turned clockwise
    upright: bool = False  # sizes, boxes and pixels are those after the turn

    @property
    def key(self):
        return self.file.removesuffix(".jpg")

    @property
    def seen(self):
        """A name of its pixels as they are opened."""
        return f"{self.file} upright" if self.upright else self.file

    @property
    def boxed(self):
        """The things that the importer of COCO keeps: all but crowds."""
        return [thing for thing in self.things if not thing.crowd]

    def open(self):
        """In RGB; the stored pixels, or turned."""
        with PIL.Image.open(PICTURES / self.file) as image:
            stored = image.convert("RGB")
        turned = self.on_its_side and self.upright
        return stored.transpose(PIL.Image.Transpose.ROTATE_270) if turned else stored

    def data(self):
        """The file, with its EXIF."""
        data = (PICTURES / self.file).read_bytes()
        if not self.on_its_side:
            return data
        exif = PIL.Image.Exif()
        exif[PIL.ExifTags.Base.Orientation] = 6
        told = exif.tobytes()
        return data[:2] + b"\xff\xe1" + (len(told) + 2).to_bytes(2, "big") + told + data[2:]

    def put(self, path):
        """A file at `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return
        if self.on_its_side:
            path.write_bytes(self.data())
        else:
            os.symlink(PICTURES / self.file, path)


def upright(photo):
    """As people see it: what was left of the bottom edge is now its top left corner."""
    if not photo.on_its_side:
        return photo
    tall = photo.height
    things = tuple(
        thing._replace(box=(tall - y1, x0, tall - y0, x1))
        for thing in photo.things
        for x0, y0, x1, y1 in [thing.box]
    )
    return photo._replace(width=tall, height=photo.width, things=things, upright=True)


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
    found = [
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
    return [*found[:-1], found[-1]._replace(on_its_side=True)]
