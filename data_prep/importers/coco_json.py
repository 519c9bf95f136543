"""The JSON files of a COCO-style annotation set, checked as far as their form goes."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cloc.data import validate
from cloc.data.record import Caption, Record
from cloc.data.validate import is_phrase
from cloc.errors import UserError
from cloc.text import flat
from data_prep.importers.annotated import Found, load_json, read_sized, regions_of
from data_prep.importing import words

Row = Mapping[str, Any]  # an object of the file
CORRECT = "correct or remove that annotation"


class Category(NamedTuple):
    """What a class is called."""

    label: str
    prompts: tuple[str, ...]  # the first is the text of its regions
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
            if row.get("iscrowd"):
                drops["crowd"] += 1
            elif category.is_thing and not things:
                drops["thing"] += 1
            else:
                yield Found(corners(row["bbox"]), category.prompts[0], category.label)

    def classes(self) -> dict[str, tuple[str, ...]]:
        """Label -> prompts, as manifests hold them."""
        return {category.label: category.prompts for category in self.categories.values()}


def read_annotations(
    path: Path,
    *,
    key: str,
    image_fields: Sequence[str] = ("file_name",),
    prompts: Callable[[Row], Iterable[Any]] = lambda row: (row["name"],),
) -> Annotations:
    """An instances file; the first wrong thing is a `UserError` naming it. `prompts` says the words
    for a category."""
    data = read_json(path, ("images", "annotations", "categories"), key=key)
    rows = rows_of(data, "annotations", ("id", "image_id", "category_id", "bbox"), path)
    images = images_of(data, path, image_fields)
    return checked(images, by_image(rows), read_categories(data, path, prompts), path)


def checked(
    images: Mapping[int, Row],
    boxes: Mapping[int, Sequence[Row]],
    categories: Mapping[int, Category],
    path: Path,
) -> Annotations:
    """Every box has four numbers, a known category and an image that the file lists."""
    refuse_strangers(boxes, images, path)
    for rows in boxes.values():
        for row in rows:
            _check_box(row, categories, path)
    return Annotations(images, boxes, categories)


def images_of(data: Row, path: Path, fields: Sequence[str] = ("file_name",)) -> dict[int, Row]:
    """In order of image id; one that is listed twice is a `UserError`. `license` is the address, or
    the name, that the file's `licenses` have for its number."""
    rows = rows_of(data, "images", ("id", "width", "height", *fields), path)
    images: dict[int, Row] = {row["id"]: row for row in sorted(rows, key=lambda row: row["id"])}
    if len(images) < len(rows):
        [(twice, _)] = Counter(row["id"] for row in rows).most_common(1)
        raise UserError(f"{path}: image {twice} is listed twice; remove one of the two")
    names = _licences(data.get("licenses"))
    for row in rows:
        if str(row.get("license")) in names:
            row["license"] = names[str(row["license"])]
    return images


def _licences(given: Any) -> dict[str, str]:
    rows = [row for row in given if isinstance(row, dict)] if isinstance(given, list) else []
    found = {str(row.get("id")): flat(row.get("url")) or flat(row.get("name")) for row in rows}
    return {number: name for number, name in found.items() if name}


def read_categories(
    data: Row, path: Path, prompts: Callable[[Row], Iterable[Any]]
) -> dict[int, Category]:
    found = {}
    for row in rows_of(data, "categories", ("id", "name"), path):
        label = words(row["name"])
        texts = tuple(dict.fromkeys(map(words, prompts(row)))) if label else ()
        if not texts or len(label) > validate.MAX_NAME_CHARS or not all(map(is_phrase, texts)):
            name = validate.shown(row["name"])
            raise UserError(f"{path}: category {row['id']} is called {name}; give it some words")
        found[row["id"]] = Category(label, texts, bool(row.get("isthing", True)))
    return found


def to_record(
    row: Row,
    path: Path,
    found: Iterable[Found],
    *,
    source: str,
    drops: Counter[str],
    captions: tuple[Caption, ...] = (),
    meta: Mapping[str, Any] | None = None,
) -> Record:
    """One entry of `images` with its picture's own bytes, never re-encoded."""
    cure = (
        f"it is image {row['id']}: give its folder with images=DIR, take the image out of the "
        "annotation file, or let budget= allow for some"
    )
    picture = read_sized(path, (row["width"], row["height"]), cure=cure)
    where = f"image {row['id']}"
    return Record(
        key=f"{row['id']:012d}",
        image=picture.content,
        extension=picture.extension,
        width=picture.width,
        height=picture.height,
        captions=captions,
        regions=regions_of(found, picture, source=source, where=where, drops=drops),
        meta={"image_id": row["id"], **(meta or {})},
    )


def read_captions(path: Path) -> dict[int, list[Any]]:
    """Image id -> captions, unchecked, in order of annotation id."""
    data = read_json(path, ("annotations",), key="captions")
    rows = by_image(rows_of(data, "annotations", ("id", "image_id", "caption"), path))
    return {i: [row["caption"] for row in group] for i, group in rows.items()}


def read_json(path: Path, names: Sequence[str], *, key: str) -> dict[str, Any]:
    """An object with these lists."""
    data = load_json(path, key=key)
    missing = [n for n in names if not isinstance(data, dict) or not isinstance(data.get(n), list)]
    if missing:
        raise UserError(f"{path}: no list {missing[0]!r}; give a COCO file with {key}=FILE")
    return data


def rows_of(data: Row, name: str, fields: Sequence[str], path: Path) -> list[dict[str, Any]]:
    """The objects of one list, each with all `fields`; ids are whole numbers."""
    ids = [f for f in fields if f == "id" or f.endswith("_id")]
    for i, row in enumerate(data[name]):
        missing = [f for f in fields if not isinstance(row, dict) or f not in row]
        given = row.get("id", i) if isinstance(row, dict) else i
        if missing:
            raise UserError(f"{path}: {name} {given} has no {missing[0]!r}; correct that entry")
        for field in ids:
            if not isinstance(row[field], int):
                what = f"has {field} {validate.shown(row[field])}, expected a whole number"
                raise UserError(f"{path}: {name} {given} {what}; correct that entry")
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


def corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Of [x, y, width, height]."""
    x, y, width, height = box
    return x, y, x + width, y + height


def check_numbers(box: Any, where: str) -> None:
    """Four finite numbers; what they mean is for `cloc.data.validate` to say."""
    if not isinstance(box, list) or len(box) != 4:
        shown = validate.shown(box)
        raise UserError(f"{where}: bbox {shown} is not [x, y, width, height]; {CORRECT}")
    if not all(map(validate.is_finite, box)):
        shown = validate.shown(box)
        raise UserError(f"{where}: bbox {shown} has a number that is not finite; {CORRECT}")


def _check_box(row: Row, categories: Mapping[int, Category], path: Path) -> None:
    where = f"{path}: annotation {row['id']}"
    check_numbers(row["bbox"], where)
    if row["category_id"] not in categories:
        raise UserError(
            f"{where}: category_id {row['category_id']} is not among the {len(categories)} "
            "categories of the file; add the category or remove that annotation"
        )
