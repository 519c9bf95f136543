"""COCO-style instances, panoptic segments and captions -> records of schema `cloc-regions/1`."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cloc.data.samples.record import Record
from cloc.data.samples.validate import shown
from cloc.errors import UserError
from data_prep.importers.shared.annotated import Found, inside, split_of
from data_prep.importers.shared.captioned import captions_of
from data_prep.importers.shared.coco_json import (
    Annotations,
    Row,
    checked,
    images_of,
    read_annotations,
    read_captions,
    read_categories,
    read_json,
    rows_of,
    to_record,
)
from data_prep.importers.shared.frames import UNKNOWN, check_frame
from data_prep.importing import check_share, is_held_out, write_splits

YEAR = re.compile(r"COCO_[a-z]+20\d\d_")  # with which the files of 2014 name the same pictures
MERGED = ("-merged", "-other", "-stuff")  # how the panoptic set marks joined stuff classes


class CocoSet(NamedTuple):
    """A checked annotation set; the pictures are not read yet."""

    images: Path
    rows: Mapping[int, Row]  # what the files say of each image, in order of image id
    captions: Mapping[int, Sequence[Any]]
    instances: Annotations | None
    panoptic: Annotations | None
    boxes_in: str

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        files = (self.panoptic, self.instances)
        return {k: v for file in files if file for k, v in file.classes().items()}

    def split(self, *, val: float) -> dict[str, tuple[int, ...]]:
        """The ids of about the share `val` of the images as "val", the rest as "train".

        An image's side is a function of its id alone, so it stays where it is when images are
        added and moves only from train to val when `val` grows.
        """
        sides: dict[bool, list[int]] = {False: [], True: []}
        for image_id in self.rows:
            sides[is_held_out(image_id, share=val)].append(image_id)
        rest, held = tuple(sides[False]), tuple(sides[True])
        return {"train": rest, "val": held} if val > 0 else {"train": rest}

    def record(self, image_id: int, drops: Counter[str]) -> Record:
        """`meta["not_exhaustive"]`, as LVIS has it: labels of the crowds that are left out."""
        row = self.rows[image_id]
        files = [file for file in (self.instances, self.panoptic) if file]
        crowds = {label for file in files for label in _crowds(file, image_id)}
        return to_record(
            row,
            inside(self.images, row["file_name"], f"image {image_id}"),
            self.found(image_id, drops),
            source="coco",
            drops=drops,
            boxes_in=self.boxes_in,
            captions=captions_of(self.captions.get(image_id), "coco", drops),
            meta={
                "license": row.get("license"),
                **({"not_exhaustive": sorted(crowds)} if crowds else {}),
            },
        )

    def found(self, image_id: int, drops: Counter[str]) -> Iterator[Found]:
        """Instances, then segments. Beside instances, which hold every thing already, the things of
        the panoptic file are left out and counted as "thing"."""
        if self.instances:
            yield from self.instances.found(image_id, drops)
        if self.panoptic:
            yield from self.panoptic.found(image_id, drops, things=not self.instances)


def _crowds(file: Annotations, image_id: int) -> Iterator[str]:
    for row in file.boxes.get(image_id, ()):
        if row["iscrowd"]:
            yield file.categories[row["category_id"]].label


def read_coco(
    images: str | Path,
    *,
    instances: str | Path | None = None,
    panoptic: str | Path | None = None,
    captions: str | Path | None = None,
    boxes_in: str = UNKNOWN,
    masks: bool = False,
) -> CocoSet:
    """Reads and checks the annotation files; the first wrong thing is a `UserError` naming it.

    A region's label is its category name; its text too, but for the marks of joined stuff classes
    ("sky-other-merged" is called "sky"). With `masks` the segmentations of instances are kept.
    """
    if not instances and not panoptic and not captions:
        raise UserError("instances is not set; give instances=, panoptic= or captions=FILE")
    if masks and not instances:
        raise UserError("masks=true is of instances, and none are set; give instances=FILE")
    things = None
    if instances:
        things = read_annotations(Path(instances), key="instances", masks=masks)
    segments = read_panoptic(Path(panoptic)) if panoptic else None
    if things and segments and panoptic:
        _check_same(things.images, segments.images.values(), Path(panoptic))
    rows = {**(segments.images if segments else {}), **(things.images if things else {})}
    sentences: dict[int, list[Any]] = {}
    if captions:
        lists = ("annotations",) if rows else ("annotations", "images")
        said = read_json(Path(captions), lists, key="captions")
        sentences = read_captions(said, Path(captions))
        if rows and isinstance(said.get("images"), list):
            _check_same(rows, rows_of(said, "images", ("id",), Path(captions)), Path(captions))
        rows = rows or images_of(said, Path(captions))
    if sentences and not sentences.keys() & rows.keys():
        of = f"no caption is of an image of {instances or panoptic or captions}"
        raise UserError(f"{captions}: {of}; give that set's own with captions=FILE")
    ordered, frame = dict(sorted(rows.items())), check_frame(boxes_in)
    return CocoSet(Path(images), ordered, sentences, things, segments, frame)


def _check_same(images: Mapping[int, Row], others: Iterable[Row], path: Path) -> None:
    """A number that is one picture in this file and another in that would mix up what they say."""
    for row in others:
        other = images.get(row["id"], row)
        names = [shown(r.get("file_name", other["file_name"])) for r in (row, other)]
        if len({YEAR.sub("", name) for name in names}) > 1:
            both = f"image {row['id']} is {names[0]}, and {names[1]} in the other file"
            raise UserError(f"{path}: {both}; give files of one set")


def read_panoptic(path: Path) -> Annotations:
    """The segments of a panoptic file as boxes; its PNG masks are not needed."""
    data = read_json(path, ("images", "annotations", "categories"), key="panoptic")
    boxes: dict[int, list[dict[str, Any]]] = {}
    for row in rows_of(data, "annotations", ("image_id", "segments_info"), path):
        where = f"segments_info of image {row['image_id']}, entry"
        if not isinstance(row["segments_info"], list):
            raise UserError(f"{path}: {where[:-7]} is no list; give a panoptic file")
        fields = ("id", "category_id", "bbox")
        segments = rows_of({where: row["segments_info"]}, where, fields, path)
        boxes.setdefault(row["image_id"], []).extend(segments)
    for group in boxes.values():
        group.sort(key=lambda row: row["id"])
    categories = read_categories(data, path, _spoken)
    return checked(images_of(data, path), boxes, categories, path)


def _spoken(row: Row) -> tuple[str]:
    name: str = row["name"]
    if row["isthing"]:
        return (name,)
    for mark in MERGED:
        name = name.replace(mark, "")
    return (name.replace("-", " "),)


def write_coco(
    out: Path,
    *,
    images: str | Path,
    instances: str | Path | None = None,
    panoptic: str | Path | None = None,
    captions: str | Path | None = None,
    boxes_in: str = UNKNOWN,
    masks: bool = False,
    val: float = 0.0,
    budget: float = 0.0,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes `out/train`, and `out/val` if `val` > 0; returns their manifests.

    Captions of images that the other files do not list count in train, as "caption_elsewhere".
    """
    check_share(val)
    files = {"instances": instances, "panoptic": panoptic, "captions": captions}
    dataset = read_coco(images, **files, boxes_in=boxes_in, masks=masks)
    sides = dataset.split(val=val)
    for name, ids in sides.items():
        if not ids:
            raise UserError(
                f"{name} has none of the {len(dataset.rows)} images of the files; change val={val}"
            )
    splits = {name: split_of(ids, dataset.record, budget=budget) for name, ids in sides.items()}
    if elsewhere := sum(len(c) for i, c in dataset.captions.items() if i not in dataset.rows):
        splits["train"].drops["caption_elsewhere"] = elsewhere
    return write_splits(
        out,
        splits,
        name="coco",
        samples_per_shard=samples_per_shard,
        classes=dataset.classes,
    )
