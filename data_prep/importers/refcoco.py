"""RefCOCO, RefCOCO+ and RefCOCOg expressions -> records of schema `cloc-regions/1`."""

import io
import pickle
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cloc.data.samples.record import Record
from cloc.data.samples.validate import shown
from cloc.errors import UserError, one_line
from data_prep.importers.shared.annotated import Found, inside, split_of
from data_prep.importers.shared.coco_json import (
    Annotations,
    Row,
    read_annotations,
    rows_of,
    to_record,
)
from data_prep.importers.shared.coco_objects import corners
from data_prep.importers.shared.documents import parse_json
from data_prep.importers.shared.frames import STORED, check_frame
from data_prep.importing import write_splits

SPLITS = ("train", "val", "test", "testA", "testB")  # the sets' own; each becomes a folder
FIELDS = ("ref_id", "ann_id", "image_id", "split", "sentences")


class RefSet(NamedTuple):
    """Checked expressions; the pictures are not read yet."""

    images: Path
    annotations: Annotations
    objects: Mapping[int, Row]  # annotation id -> its box and category
    refs: Mapping[str, Mapping[int, Sequence[Row]]]  # split -> image id -> in order of ref id
    boxes_in: str

    def record(self, image_id: int, drops: Counter[str], *, split: str) -> Record:
        """A region of each sentence: those of one object have the same box."""
        row = self.annotations.images[image_id]
        return to_record(
            row,
            find_picture(self.images, row),
            [found for ref in self.refs[split][image_id] for found in self.found(ref, drops)],
            source="refcoco",
            drops=drops,
            boxes_in=self.boxes_in,
            meta={"license": row.get("license")},
        )

    def found(self, ref: Row, drops: Counter[str]) -> list[Found]:
        target = self.objects[ref["ann_id"]]
        if target["iscrowd"]:
            drops["crowd"] += len(ref["sentences"])
            return []
        label = self.annotations.categories[target["category_id"]].label
        box = corners(target["bbox"])
        return [Found(box, sentence["sent"], label) for sentence in ref["sentences"]]


def read_refcoco(
    images: str | Path, *, refs: str | Path, instances: str | Path, boxes_in: str = STORED
) -> RefSet:
    """`refs` is the sets' own `refs(unc).p`, `refs(google).p` or `refs(umd).p`, or the same list as
    JSON. The first wrong thing is a `UserError` naming it."""
    refs, instances = Path(refs), Path(instances)
    annotations = read_annotations(instances, key="instances")
    objects: dict[int, Row] = {}
    for row in (row for rows in annotations.boxes.values() for row in rows):
        if row["id"] in objects:
            what = f"annotation {row['id']} is listed twice, and an expression names one"
            raise UserError(f"{instances}: {what}; remove one of the two")
        objects[row["id"]] = row
    splits: dict[str, dict[int, list[Row]]] = {}
    rows = rows_of({"refs": read_refs(refs)}, "refs", FIELDS, refs)
    for ref in sorted(rows, key=lambda row: row["ref_id"]):
        _check_ref(ref, objects, refs)
        splits.setdefault(ref["split"], {}).setdefault(ref["image_id"], []).append(ref)
    ordered = {name: dict(sorted(splits[name].items())) for name in SPLITS if name in splits}
    return RefSet(Path(images), annotations, objects, ordered, check_frame(boxes_in))


def read_refs(path: Path) -> list[Any]:
    """A list from a pickle of plain values, or from JSON; which of the two is by content."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the file of expressions with refs=FILE")
    content = path.read_bytes()
    is_json = content.lstrip()[:1] in (b"[", b"{")  # no pickle begins like that
    try:
        data = parse_json(content) if is_json else _Plain(content).load()
    except _Refused as error:
        raise UserError(f"{path}: {one_line(error)}") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        kind = "JSON" if is_json else "a pickle"
        line = one_line(error) or type(error).__name__
        raise UserError(f"{path}: not {kind} ({line}); download the file again") from None
    if not isinstance(data, list):
        raise UserError(f"{path}: {shown(data)} is no list of refs; give refs(unc).p or such")
    return data


class _Refused(Exception):
    """The pickle names something that is not data."""


class _Plain(pickle.Unpickler):
    """Numbers, strings, lists, tuples and dicts only. A pickle can do anything a program can, but
    not without naming something to call, and every name is refused."""

    def __init__(self, content: bytes) -> None:
        # The files were written by Python 2, whose strings are bytes.
        super().__init__(io.BytesIO(content), encoding="utf-8", errors="replace")

    def find_class(self, module: str, name: str) -> Any:
        raise _Refused(
            f"the pickle wants {shown(f'{module}.{name}')}, and only plain lists, dicts, strings "
            "and numbers are read, because a pickle can run code; convert it to JSON where you "
            "trust it, and give that with refs=FILE"
        )


def find_picture(images: Path, row: Row) -> Path:
    """`COCO_train2014_000000581857.jpg` as the file of 2014 has it or, where that is not there, the
    same picture under its name of 2017, `000000581857.jpg`."""
    path = inside(images, row["file_name"], f"image {row['id']}")
    later = images / f"{row['id']:012d}.jpg"
    return later if not path.is_file() and later.is_file() else path


def write_refcoco(
    out: Path,
    *,
    images: str | Path,
    refs: str | Path,
    instances: str | Path,
    boxes_in: str = STORED,
    budget: float = 0.0,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes a folder for each split of the set; returns their manifests.

    An image is one record of each split that has expressions of it.
    """
    dataset = read_refcoco(images, refs=refs, instances=instances, boxes_in=boxes_in)
    splits = {
        name: split_of(list(groups), partial(dataset.record, split=name), budget=budget)
        for name, groups in dataset.refs.items()
    }
    return write_splits(
        out,
        splits,
        name="refcoco",
        samples_per_shard=samples_per_shard,
        classes=dataset.annotations.classes(),
    )


def _check_ref(ref: Row, objects: Mapping[int, Row], path: Path) -> None:
    where = f"{path}: ref {ref['ref_id']}"
    if ref["split"] not in SPLITS:
        given = shown(ref["split"])
        raise UserError(f"{where} is of split {given}, known are {', '.join(SPLITS)}; correct it")
    target = objects.get(ref["ann_id"])
    if target is None or target["image_id"] != ref["image_id"]:
        raise UserError(
            f"{where}: annotation {ref['ann_id']} of image {ref['image_id']} is not in the file "
            "of instances; give the instances.json beside the refs"
        )
    rows_of({"sentence": _listed(ref["sentences"], where)}, "sentence", ("sent",), path)


def _listed(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{where}: sentences is {shown(value)}, expected a list; correct it")
    return value
