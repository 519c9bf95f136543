"""COCO-style instance and caption annotations -> records of schema `cloc-regions/1`."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cloc.data.record import Caption, Record, Region
from cloc.data.validate import is_finite, is_small
from cloc.errors import UserError
from data_prep.importers.coco_json import (
    by_image,
    read_captions,
    read_json,
    refuse_strangers,
    rows_of,
)
from data_prep.importing import Split, check_share, is_held_out, read_picture, write_splits


class Entry(NamedTuple):
    """What the annotation files say of one image; the picture itself is not read yet."""

    image_id: int
    file_name: str
    width: int
    height: int
    license: int | None
    captions: tuple[Caption, ...]
    regions: tuple[Region, ...]
    drops: Counter[str]  # reason -> boxes left out


class CocoSet(NamedTuple):
    """A checked annotation set, in order of image id."""

    images: Path
    entries: tuple[Entry, ...]
    classes: Mapping[str, tuple[str, ...]]  # category name -> its prompts

    def split(self, *, val: float) -> dict[str, tuple[Entry, ...]]:
        """About the share `val` of the images as "val", the rest as "train".

        An image's side is a function of its id alone, so it stays where it is when images are
        added and moves only from train to val when `val` grows.
        """
        sides: dict[bool, list[Entry]] = {False: [], True: []}
        for entry in self.entries:
            sides[is_held_out(entry.image_id, share=val)].append(entry)
        rest, held = tuple(sides[False]), tuple(sides[True])
        return {"train": rest, "val": held} if val > 0 else {"train": rest}


def read_coco(
    images: str | Path, *, instances: str | Path, captions: str | Path | None = None
) -> CocoSet:
    """Reads and checks the annotation files; the first wrong thing is a `UserError` naming it.

    Crowd boxes ("crowd") and boxes under one pixel inside the image ("degenerate") are left out
    and counted. A region's text and label are its category name.
    """
    images, instances = Path(images), Path(instances)
    data = read_json(instances, ("images", "annotations", "categories"), key="instances")
    names = {c["id"]: c["name"] for c in rows_of(data, "categories", ("id", "name"), instances)}
    rows = rows_of(data, "images", ("id", "file_name", "width", "height"), instances)
    boxes = by_image(
        rows_of(data, "annotations", ("id", "image_id", "category_id", "bbox"), instances)
    )
    sentences = read_captions(Path(captions)) if captions else {}
    refuse_strangers(boxes, rows, instances)
    entries = tuple(
        _entry(row, boxes.get(row["id"], ()), sentences.get(row["id"], ()), names, instances)
        for row in sorted(rows, key=lambda row: row["id"])
    )
    return CocoSet(images, entries, {name: (name,) for name in names.values()})


def coco(dataset: CocoSet, entries: Iterable[Entry]) -> Iterator[Record]:
    """Records with the files' own bytes, never re-encoded; pictures are read one at a time."""
    for entry in entries:
        path = dataset.images / entry.file_name
        picture = read_picture(
            path,
            cure=f"it is image {entry.image_id}: give its folder with images=DIR, or take the "
            "image out of the annotation file",
        )
        if (picture.width, picture.height) != (entry.width, entry.height):
            raise UserError(
                f"{path}: the picture is {picture.width}x{picture.height} pixels, image "
                f"{entry.image_id} is annotated as {entry.width}x{entry.height}; use the files "
                "the boxes were drawn on"
            )
        yield Record(
            key=f"{entry.image_id:012d}",
            image=picture.content,
            extension=picture.extension,
            width=entry.width,
            height=entry.height,
            captions=entry.captions,
            regions=entry.regions,
            meta={"image_id": entry.image_id, "license": entry.license},
        )


def write_coco(
    out: Path,
    *,
    images: str | Path,
    instances: str | Path,
    captions: str | Path | None = None,
    val: float = 0.0,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes `out/train`, and `out/val` if `val` > 0; returns their manifests.

    Each manifest carries the classes, the number of regions and the boxes left out by reason.
    A progress bar is drawn where stdout is a terminal.
    """
    check_share(val)
    dataset = read_coco(images, instances=instances, captions=captions)
    splits = {}
    for name, entries in dataset.split(val=val).items():
        if not entries:
            raise UserError(
                f"{name} has none of the {len(dataset.entries)} images of {instances}; "
                f"change val={val}"
            )
        drops = Counter(dict(sorted(sum((e.drops for e in entries), Counter()).items())))
        splits[name] = Split(coco(dataset, entries), drops, len(entries))
    return write_splits(
        out,
        splits,
        name="coco",
        samples_per_shard=samples_per_shard,
        classes=dataset.classes,
    )


def _entry(
    row: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    captions: Sequence[Caption],
    names: Mapping[int, str],
    file: Path,
) -> Entry:
    regions, drops = [], Counter[str]()
    for annotation in annotations:
        where = f"{file}: annotation {annotation['id']}"
        box = _corners(annotation["bbox"], row["width"], row["height"], where)
        if annotation.get("iscrowd"):
            drops["crowd"] += 1
        elif is_small(box):  # empty ones are, too
            drops["degenerate"] += 1
        else:
            name = _category(annotation["category_id"], names, where)
            regions.append(Region(box=box, text=name, source="coco", label=name))
    return Entry(
        image_id=row["id"],
        file_name=row["file_name"],
        width=row["width"],
        height=row["height"],
        license=row.get("license"),
        captions=tuple(captions),
        regions=tuple(regions),
        drops=drops,
    )


def _corners(box: Any, width: int, height: int, where: str) -> tuple[float, float, float, float]:
    """[x, y, width, height] in pixels as corners clipped to the image; may come out empty."""
    cure = "correct or remove that annotation"
    if not isinstance(box, list) or len(box) != 4:
        raise UserError(f"{where}: bbox {box!r} is not [x, y, width, height]; {cure}")
    if not all(map(is_finite, box)):
        raise UserError(f"{where}: bbox {box} has a number that is not finite; {cure}")
    x, y, box_width, box_height = (float(v) for v in box)
    if box_width < 0 or box_height < 0:
        raise UserError(f"{where}: bbox {box} is reversed (its size is negative); {cure}")
    x1, y1 = min(x + box_width, float(width)), min(y + box_height, float(height))
    return max(x, 0.0), max(y, 0.0), x1, y1


def _category(category_id: Any, names: Mapping[int, str], where: str) -> str:
    if category_id not in names:
        raise UserError(
            f"{where}: category_id {category_id!r} is not among the {len(names)} categories of "
            "the file; add the category or remove that annotation"
        )
    return names[category_id]
