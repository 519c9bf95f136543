"""Objects365 (v1, v2) -> records of schema `cloc-regions/1`."""

from collections import Counter
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from cloc.data.samples.record import Record
from data_prep.importers.shared.annotated import inside
from data_prep.importers.shared.coco_json import Annotations, Row, read_annotations, to_record
from data_prep.importers.shared.frames import UNKNOWN, check_frame
from data_prep.importers.shared.train_val import write_train_val
from data_prep.importing import words


def read_objects365(path: Path, key: str) -> Annotations:
    """A class's text is its name in lower case ("Cabinet/shelf" is called "cabinet/shelf")."""
    return read_annotations(path, key=key, prompts=lambda row: (words(row["name"]).lower(),))


def objects365_record(
    image_id: int,
    drops: Counter[str],
    *,
    images: Path,
    split: str,
    annotations: Annotations,
    boxes_in: str = UNKNOWN,
) -> Record:
    row = annotations.images[image_id]
    path = find_picture(images, row, split=split)
    found = annotations.found(image_id, drops)
    meta = {"license": row.get("license")}
    return to_record(
        row, path, found, source="objects365", drops=drops, boxes_in=boxes_in, meta=meta
    )


def find_picture(images: Path, row: Row, *, split: str) -> Path:
    """The first of three places that is a file: the whole name (`images/v1/patch8/x.jpg`) in the
    folder, or, as the archives unpack it, `patch8/x.jpg` in the folder's SPLIT or in the folder.
    Where none is, the second."""
    whole = inside(images, row["file_name"], f"image {row['id']}")
    tail = PurePosixPath(*PurePosixPath(row["file_name"]).parts[-2:])
    places = (whole, images / split / tail, images / tail)
    return next((place for place in places if place.is_file()), places[1])


def write_objects365(
    out: Path,
    *,
    images: str | Path,
    train: str | Path | None = None,
    val: str | Path | None = None,
    boxes_in: str = UNKNOWN,
    budget: float = 0.01,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes `out/train` and `out/val`, those whose file is given; returns their manifests."""
    return write_train_val(
        out,
        {"train": train, "val": val},
        read=read_objects365,
        make=partial(objects365_record, images=Path(images), boxes_in=check_frame(boxes_in)),
        name="objects365",
        budget=budget,
        samples_per_shard=samples_per_shard,
    )
