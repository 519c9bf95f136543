"""The JSON files of a COCO-style annotation set, checked as far as their form goes."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cloc.data.samples import validate
from cloc.data.samples.aligned import MASKS
from cloc.data.samples.record import Caption, Record
from cloc.data.samples.text import flat
from cloc.data.samples.validate import is_phrase
from cloc.errors import UserError
from data_prep.importers.shared.annotated import Found, load_json, usable
from data_prep.importers.shared.coco_objects import corners, read_shape, stored_masks
from data_prep.importers.shared.frames import frame_of
from data_prep.importers.shared.values import one_name, set_flag, set_whole
from data_prep.importing import read_picture, words

Row = dict[str, Any]  # an object of the file


class Category(NamedTuple):
    """What a class is called."""

    label: str
    names: tuple[str, ...]  # the first is the text of its regions, the others are synonyms
    is_thing: bool = True  # False for stuff, in panoptic files


class Annotations(NamedTuple):
    """The boxes of one file, checked as far as can be without the pictures."""

    images: Mapping[int, Row]  # by image id, in its order
    boxes: Mapping[int, Sequence[Row]]  # image id -> its objects, in order of annotation id
    categories: Mapping[int, Category]

    def found(self, image_id: int, drops: Counter[str], *, things: bool = True) -> Iterator[Found]:
        """The objects of an image; crowds are left out and counted as "crowd", with `things=False`
        so are things, as "thing"."""
        for row in self.boxes.get(image_id, ()):
            category = self.categories[row["category_id"]]
            if row["iscrowd"]:
                drops["crowd"] += 1
            elif category.is_thing and not things:
                drops["thing"] += 1
            else:
                box, mask = corners(row["bbox"]), row.get("segmentation")
                yield Found(box, category.names[0], category.label, mask)

    def classes(self) -> dict[str, tuple[str, ...]]:
        """Label -> prompts, as manifests hold them: a class is what it is called."""
        return {category.label: category.names[:1] for category in self.categories.values()}


def read_annotations(
    path: Path,
    *,
    key: str,
    image_fields: Sequence[str] = ("file_name",),
    prompts: Callable[[Row], Iterable[Any]] = lambda row: (row["name"],),
    masks: bool = False,
) -> Annotations:
    """An instances file; the first wrong thing is a `UserError` naming it. `prompts` says the words
    for a category. With `masks` segmentations are read, which some of the objects must have."""
    data = read_json(path, ("images", "annotations", "categories"), key=key, masks=masks)
    rows = rows_of(data, "annotations", ("id", "image_id", "category_id", "bbox"), path)
    images = images_of(data, path, image_fields)
    if masks and not any(row.get("segmentation") for row in rows):
        raise UserError(f"{path}: no annotation has a segmentation; set masks=false")
    return checked(images, by_image(rows), read_categories(data, path, prompts), path)


def checked(
    images: Mapping[int, Row],
    boxes: Mapping[int, Sequence[Row]],
    categories: Mapping[int, Category],
    path: Path,
) -> Annotations:
    """Every box is read: four numbers, a known category and an image that the file lists."""
    refuse_strangers(boxes, images, path)
    for image_id, rows in boxes.items():
        for row in rows:
            _read_object(row, images[image_id], categories, path)
    return Annotations(images, boxes, categories)


def images_of(data: Row, path: Path, fields: Sequence[str] = ("file_name",)) -> dict[int, Row]:
    """In order of image id; one that is listed twice is a `UserError`. `license` is the address, or
    the name, that the file's `licenses` have for its number."""
    rows = rows_of(data, "images", ("id", "width", "height", *fields), path)
    images: dict[int, Row] = by_id(rows, "id", path, name=fields[0])
    names = _licences(data.get("licenses"))
    for row in rows:
        set_whole(row, ("width", "height"), f"{path}: image {row['id']}")
        if str(row.get("license")) in names:
            row["license"] = names[str(row["license"])]
    return images


def by_id(
    rows: Sequence[dict[str, Any]], field: str, path: Path, *, name: str
) -> dict[int, dict[str, Any]]:
    """Images by their number, in its order; a number that two of them have is a `UserError`."""
    found: dict[int, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row[field]):
        other = found.setdefault(row[field], row)
        if other is not row:
            both = f"as {validate.shown(other[name])} and {validate.shown(row[name])}"
            raise UserError(
                f"{path}: image {row[field]} is listed twice, {both}; remove one of the two"
            )
    return found


def _licences(given: Any) -> dict[str, str]:
    rows = [row for row in given if isinstance(row, dict)] if isinstance(given, list) else []
    found = {str(row.get("id")): flat(row.get("url")) or flat(row.get("name")) for row in rows}
    return {number: name for number, name in found.items() if name}


def read_categories(
    data: Row, path: Path, prompts: Callable[[Row], Iterable[Any]]
) -> dict[int, Category]:
    found: dict[int, Category] = {}
    names: dict[int, str] = {}
    for row in rows_of(data, "categories", ("id", "name"), path):
        set_flag(row, "isthing", f"{path}: category {row['id']}", otherwise=True)
        label = words(row["name"])
        texts = tuple(dict.fromkeys(map(words, prompts(row)))) if label else ()
        if not texts or len(label) > validate.MAX_NAME_CHARS or not all(map(is_phrase, texts)):
            name = validate.shown(row["name"])
            raise UserError(f"{path}: category {row['id']} is called {name}; give it some words")
        one_name(names, row["id"], label, "category", path)
        category = found.setdefault(row["id"], Category(label, texts, row["isthing"]))
        if category != (label, texts, row["isthing"]):
            twice = f"category {row['id']} ({validate.shown(label)}) is listed twice"
            raise UserError(f"{path}: {twice}, not alike; remove one of the two")
        names[row["id"]] = label
    return found


def to_record(
    row: Row,
    path: Path,
    found: Iterable[Found],
    *,
    source: str,
    drops: Counter[str],
    boxes_in: str,
    captions: tuple[Caption, ...] = (),
    meta: Mapping[str, Any] | None = None,
) -> Record:
    """One entry of `images` with its picture's own bytes, never re-encoded; for `boxes_in` see
    `frame_of`. `meta["masks"]` is there where a region has a mask."""
    cure = (
        f"it is image {row['id']}: give its folder with images=DIR, take the image out of the "
        "annotation file, or let budget= allow for some"
    )
    picture = read_picture(path, cure=cure)
    boxes = list(found)
    frame = frame_of(
        picture,
        boxes_in,
        str(path),
        size=(row["width"], row["height"]),
        has_boxes=bool(boxes),
        cure=f"use the files the boxes were drawn on, or {cure}",
    )
    kept = list(usable(boxes, frame, source=source, where=f"image {row['id']}", drops=drops))
    masks = stored_masks((found.segmentation for _, found in kept), frame, drops)
    told = {MASKS: masks} if any(masks) else {}
    return Record(
        f"{row['id']:012d}",
        *frame.picture,
        captions=captions,
        regions=tuple(region for region, _ in kept),
        meta={"image_id": row["id"], **(meta or {}), **told},
        orientation=frame.code,
    )


def read_captions(data: Row, path: Path) -> dict[int, list[Any]]:
    """Image id -> captions, unchecked, in order of annotation id."""
    rows = by_image(rows_of(data, "annotations", ("id", "image_id", "caption"), path))
    return {i: [row["caption"] for row in group] for i, group in rows.items()}


def read_json(path: Path, names: Sequence[str], *, key: str, masks: bool = False) -> dict[str, Any]:
    """An object with these lists; for `masks` see `load_json`."""
    data = load_json(path, key=key, masks=masks)
    missing = [n for n in names if not isinstance(data, dict) or not isinstance(data.get(n), list)]
    if missing:
        raise UserError(f"{path}: no list {missing[0]!r}; give a COCO file with {key}=FILE")
    return data


def rows_of(data: Row, name: str, fields: Sequence[str], path: Path) -> list[dict[str, Any]]:
    """The objects of one list, each with all `fields`; those of ids become whole numbers."""
    ids = [f for f in fields if f == "id" or f.endswith("_id")]
    for i, row in enumerate(data[name]):
        missing = [f for f in fields if not isinstance(row, dict) or f not in row]
        given = f"{row.get('id', i) if isinstance(row, dict) else i}"[:80]
        if missing:
            raise UserError(f"{path}: {name} {given} has no {missing[0]!r}; correct that entry")
        set_whole(row, ids, f"{path}: {name} {given}")
    return list(data[name])


def by_image(rows: Iterable[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """Grouped by image, in order of annotation id, whatever order the file has."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        found.setdefault(row["image_id"], []).append(row)
    return found


def refuse_strangers(
    boxes: Mapping[int, Sequence[Row]], images: Mapping[int, Row], path: Path
) -> None:
    """An annotation of an image that the file does not list."""
    for image_id, group in boxes.items():
        if image_id not in images and group:
            raise UserError(
                f"{path}: annotation {group[0]['id']} belongs to image {image_id}, which the file "
                "does not list; add the image or remove that annotation"
            )


def _read_object(row: Row, image: Row, categories: Mapping[int, Category], path: Path) -> None:
    """What is said of one object, in place: `iscrowd` as a bool, and its shape."""
    where = f"{path}: annotation {row['id']}"
    read_shape(row, (image["width"], image["height"]), where)
    set_flag(row, "iscrowd", where)
    if row["category_id"] not in categories:
        raise UserError(
            f"{where}: category_id {row['category_id']} is not among the {len(categories)} "
            "categories of the file; add the category or remove that annotation"
        )
