"""Open Images: boxes of 600 classes, and Localized Narratives as captions -> records."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from cloc.data.samples import validate
from cloc.data.samples.record import Record, Region
from cloc.data.samples.validate import shown
from cloc.data.shards.patterns import find
from cloc.errors import UserError
from data_prep.importers.shared.captioned import (
    at_most,
    attempts,
    box_of_fractions,
    captions_of,
    picture_named,
    sample_key,
)
from data_prep.importers.shared.frames import STORED, Frame, check_frame, frame_of
from data_prep.importers.shared.json_rows import rows
from data_prep.importers.shared.values import numbers_of, one_name, set_flag
from data_prep.importing import Split, whole, words, write_splits

IMAGE, LABEL, SCORE, GROUP = "ImageID", "LabelName", "Confidence", "IsGroupOf"
SIDES = ("XMin", "YMin", "XMax", "YMax")
Row = dict[str, Any]  # a line of the boxes: numbers and the flag are read
CURE = "download it, or allow for it with budget="


class Item(NamedTuple):
    """What the files say of one image."""

    image_id: str
    boxes: list[Row]
    captions: list[Any]


def write_open_images(
    out: Path,
    *,
    images: str | Path,
    classes: str | Path,
    boxes: str | Path,
    narratives: str | Path | None = None,
    split: str = "train",
    boxes_in: str = STORED,
    budget: float = 0.01,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes `out/SPLIT`; returns its manifest.

    `boxes` is read line by line and must hold each image's rows together, as the released files do.
    Boxes of groups (`IsGroupOf` is 1) are left out and counted as "group"; a region's text and
    label are its class's name, its score the `Confidence`. The captions of `narratives` (JSON
    Lines, a file or a pattern) are held in memory; images that have one and no box follow at the
    end. Pictures are `images/ID.jpg` or, as the archives unpack, `images/train_0/0ID.jpg`.
    """
    names = read_classes(Path(classes))
    captions = read_narratives(str(narratives)) if narratives else {}
    drops = Counter[str]()
    items = read_items(Path(boxes), names, captions)
    records = attempts(
        items, partial(_record, Path(images), split, names, check_frame(boxes_in), drops)
    )
    splits = {split: Split(whole(records, drops, budget=budget), drops)}
    return write_splits(
        out,
        splits,
        name="open_images",
        samples_per_shard=samples_per_shard,
        classes={name: (name,) for name in names.values()},
    )


def _record(
    folder: Path,
    split: str,
    names: Mapping[str, str],
    boxes_in: str,
    drops: Counter[str],
    item: Item,
) -> Record:
    name = item.image_id
    picture = picture_named(folder, [name, f"{split}_{name[:1]}/{name}"], cure=CURE)
    has_boxes = bool(item.boxes)
    frame = frame_of(picture, boxes_in, f"image {name}", has_boxes=has_boxes)
    found = _regions(item, names, frame, drops)
    return Record(
        sample_key(f"{name}.jpg"),
        *picture,
        captions=captions_of(item.captions, "localized_narratives", drops),
        regions=at_most(found, validate.MAX_REGIONS, "region", drops),
        orientation=frame.code,
    )


def read_classes(path: Path) -> dict[str, str]:
    """MID -> name; a first line that names the columns, as some releases have it, is none."""
    found: dict[str, str] = {}
    for number, row in enumerate(_table(path, key="classes"), 1):
        if len(row) != 2 or not words(row[1]):
            what = f"line {number} is {','.join(row)!r}, expected a class and its name"
            raise UserError(f"{path}: {what}; give class-descriptions with classes=FILE")
        if number > 1 or row[0].startswith("/"):
            name = words(row[1])
            one_name(found, row[0], name, "class", path)
            found[row[0]] = name
    return found


def read_narratives(spec: str) -> dict[str, list[Any]]:
    """Image -> captions, of Localized Narratives with or without their traces: of a file, or of all
    that a pattern finds, as those of train come in ten."""
    found: dict[str, list[Any]] = {}
    for path in map(Path, find(spec) or [spec]):
        for row in rows(path, key="narratives"):
            wrong = [n for n in ("image_id", "caption") if not isinstance(row.get(n), str)]
            if wrong:
                name = wrong[0]
                what = f"a line has no {name!r}"
                if name in row:
                    what = f"{name} of a line is {shown(row[name])}, expected a text"
                raise UserError(f"{path}: {what}; give Localized Narratives with narratives=FILE")
            found.setdefault(row["image_id"], []).append(row["caption"])
    return found


def read_items(
    path: Path, names: Mapping[str, str], captions: Mapping[str, list[Any]]
) -> Iterator[Item]:
    """Image by image. One that comes back after another is a `UserError`: its boxes would be two
    samples. Memory: the images' numbers, and the captions."""
    seen = set[str]()
    for image_id, group in groupby(_box_rows(path, names), key=lambda row: row[IMAGE]):
        if image_id in seen:
            raise UserError(
                f"{path}: image {image_id} comes back after others, but each image's rows must "
                "stand together; sort the file by ImageID"
            )
        seen.add(image_id)
        yield Item(image_id, list(group), captions.get(image_id, []))
    for image_id, given in captions.items():
        if image_id not in seen:
            yield Item(image_id, [], given)


def _box_rows(path: Path, names: Mapping[str, str]) -> Iterator[Row]:
    table = _table(path, key="boxes")
    columns = next(table, [])
    if twice := next((name for name in columns if columns.count(name) > 1), None):
        raise UserError(f"{path}: the column {twice!r} is there twice; remove one of the two")
    missing = [name for name in (IMAGE, LABEL, SCORE, *SIDES, GROUP) if name not in columns]
    if missing:
        known = ", ".join(columns)
        what = f"no column {missing[0]!r} among {known}"
        raise UserError(f"{path}: {what}; give annotations-bbox with boxes=FILE")
    for number, values in enumerate(table, 2):
        row: Row = dict(zip(columns, values, strict=False))
        numbers = numbers_of([row.get(name) for name in (*SIDES, SCORE)])
        if len(values) != len(columns) or numbers is None or not all(map(isfinite, numbers)):
            raise UserError(f"{path}: line {number} is no box; download the file again")
        row.update(zip((*SIDES, SCORE), numbers, strict=True))
        if row[GROUP].strip() == "-1":  # nobody said whether
            row[GROUP] = ""
        set_flag(row, GROUP, f"{path}: line {number}")
        if row[LABEL] not in names:
            what = f"line {number} is of class {row[LABEL]!r}, which the class file does not list"
            raise UserError(f"{path}: {what}; give the class file of this release")
        yield row


def _table(path: Path, *, key: str) -> Iterator[list[str]]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; give it with {key}=FILE")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from (row for row in csv.reader(file) if row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a table in UTF-8 ({error}); download it again") from None


def _regions(
    item: Item, names: Mapping[str, str], frame: Frame, drops: Counter[str]
) -> list[Region]:
    found = []
    for row in item.boxes:
        if row[GROUP]:
            drops["group"] += 1
            continue
        corners = [row[name] for name in SIDES]
        box = box_of_fractions(corners, frame, f"image {item.image_id}", drops)
        if box is not None:
            name = names[row[LABEL]]
            found.append(Region(box, name, float(row[SCORE]), "open_images", label=name))
    return found
