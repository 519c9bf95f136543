"""LVIS v1 boxes, with the classes that are verified absent -> records of `cloc-regions/1`."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from cloc.data.samples.record import Record
from cloc.data.samples.validate import shown
from cloc.errors import UserError
from data_prep.importers.shared.annotated import by_url
from data_prep.importers.shared.coco_json import Annotations, Row, read_annotations, to_record
from data_prep.importers.shared.frames import STORED, check_frame
from data_prep.importers.shared.train_val import write_train_val
from data_prep.importers.shared.values import whole_of
from data_prep.importing import words

FREQUENCIES = ("r", "c", "f")  # rare, common, frequent, as LVIS marks its classes
IMAGE_FIELDS = ("coco_url", "neg_category_ids", "not_exhaustive_category_ids")


def read_lvis(path: Path, key: str, *, masks: bool = False) -> Annotations:
    """A class is its name, with spaces for underscores; synonyms are a protocol of their own."""
    marks: dict[int, str] = {}

    def names(row: Row) -> list[str]:
        marks[row["id"]] = words(row.get("frequency"))
        return _names(row)

    fields = IMAGE_FIELDS
    found = read_annotations(path, key=key, image_fields=fields, prompts=names, masks=masks)
    for row in found.images.values():
        for field in IMAGE_FIELDS[1:]:
            _read_ids(row, field, found, path)
        shown_ids = sorted({box["category_id"] for box in found.boxes.get(row["id"], ())})
        of = {found.categories[i].label: marks[i] for i in shown_ids}
        row["frequency"] = {label: mark for label, mark in of.items() if mark in FREQUENCIES}
    return found


def lvis_record(
    image_id: int,
    drops: Counter[str],
    *,
    images: Path,
    split: str,
    annotations: Annotations,
    boxes_in: str = STORED,
) -> Record:
    """`meta["absent"]` are the classes that people looked for and did not find in the image; those
    of `meta["not_exhaustive"]` are there, but not around every object of them is a box.
    `meta["frequency"]` marks the classes of its boxes as rare, common or frequent (r, c, f)."""
    row = annotations.images[image_id]
    labels = {i: category.label for i, category in annotations.categories.items()}
    return to_record(
        row,
        # LVIS draws its val from both of COCO's folders; the URL says from which.
        by_url(images, row["coco_url"], f"image {image_id}"),
        annotations.found(image_id, drops),
        source="lvis",
        boxes_in=boxes_in,
        drops=drops,
        meta={
            "license": row.get("license"),
            "absent": [labels[i] for i in row["neg_category_ids"]],
            "not_exhaustive": [labels[i] for i in row["not_exhaustive_category_ids"]],
            "frequency": row["frequency"],
        },
    )


def write_lvis(
    out: Path,
    *,
    images: str | Path,
    train: str | Path | None = None,
    val: str | Path | None = None,
    boxes_in: str = STORED,
    masks: bool = False,
    budget: float = 0.0,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes `out/train` and `out/val`, those whose file is given; returns their manifests."""
    return write_train_val(
        out,
        {"train": train, "val": val},
        read=partial(read_lvis, masks=masks),
        make=partial(lvis_record, images=Path(images), boxes_in=check_frame(boxes_in)),
        name="lvis",
        budget=budget,
        samples_per_shard=samples_per_shard,
    )


def _names(row: Row) -> list[str]:
    given = row.get("synonyms") or ()
    names = [row["name"], *(given if isinstance(given, list | tuple) else [given])]
    return [words(name).replace("_", " ") for name in names]


def _read_ids(row: dict[str, Any], field: str, annotations: Annotations, path: Path) -> None:
    given, known = row[field], annotations.categories
    ids = [whole_of(i) for i in given] if isinstance(given, list) else [None]
    if not all(i in known for i in ids):
        raise UserError(
            f"{path}: image {row['id']} has {field} {shown(given)}, expected ids of the file's "
            f"{len(known)} categories; correct that entry"
        )
    row[field] = ids
