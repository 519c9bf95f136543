"""COCO's panoptic annotations as examples: a box, a class and a mask of every segment."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cloc.data.samples.decode import decode_image
from cloc.data.samples.validate import shown
from cloc.errors import UserError
from cloc.eval.annotations import Row, by_id, corners, read_json, rows_of
from cloc.eval.pictures import picture_example, require_pictures
from cloc.interfaces import Example

IMAGES = {"id": int, "file_name": str, "width": int, "height": int}
CATEGORY = {"id": int, "name": str, "isthing": int}
SEGMENTS = {"image_id": int, "file_name": str, "segments_info": list}
SEGMENT = {"id": int, "category_id": int, "bbox": list}
SMALLEST, LARGEST = 8**2, 1024**2  # square pixels of a box that CLIPSelf looks at


class Panoptic(NamedTuple):
    """`labels` of the examples are names of `things`, which says of every class whether it is a
    thing (or stuff), in order of its id."""

    examples: list[Example]
    things: dict[str, bool]
    left_out: int  # segments whose box is too small or too large


def read_panoptic(annotations: Path, *, masks: Path, pictures: Path, key: str) -> Panoptic:
    """The segments of every picture, in the order of the file. `masks` holds its PNGs, in which the
    number of a segment is red + 256 green + 256^2 blue. As CLIPSelf has it (arXiv 2310.01403),
    crowds are segments as others, and boxes below 8^2 or above 1024^2 square pixels are left out.
    """
    data = read_json(annotations, key=key)
    images = by_id(rows_of(data, "images", IMAGES, annotations), annotations, "images")
    categories = rows_of(data, "categories", CATEGORY, annotations)
    classes = by_id(sorted(categories, key=lambda row: row["id"]), annotations, "categories")
    rows = rows_of(data, "annotations", SEGMENTS, annotations)
    for row in rows:
        _check(row, images, classes, annotations)
    names = [pictures / images[row["image_id"]]["file_name"] for row in rows]
    require_pictures(names, key=key)
    require_pictures([masks / row["file_name"] for row in rows], key=key)
    examples, left_out = [], 0
    for row in rows:
        example, skipped = _example(row, images[row["image_id"]], classes, masks, pictures)
        examples.append(example)
        left_out += skipped
    things = {row["name"]: bool(row["isthing"]) for row in classes.values()}
    return Panoptic(examples, things, left_out)


def _example(
    row: Row, image: Row, classes: Mapping[int, Row], masks: Path, pictures: Path
) -> tuple[Example, int]:
    segments, boxes = [], []
    for segment in row["segments_info"]:
        box = corners(segment["bbox"], f"{row['file_name']}: segment {segment['id']}")
        if SMALLEST <= (box[2] - box[0]) * (box[3] - box[1]) <= LARGEST:
            segments.append(segment)
            boxes.append(box)
    path, ids = masks / row["file_name"], tuple(segment["id"] for segment in segments)
    size = (image["width"], image["height"])
    example = picture_example(
        pictures / image["file_name"],
        key=Path(image["file_name"]).stem,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=[classes[segment["category_id"]]["name"] for segment in segments],
        size=size,
        masks=partial(read_masks, path, ids, size),
        mask_bytes=path.read_bytes(),
    )
    return example, len(row["segments_info"]) - len(segments)


def read_masks(path: Path, ids: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """bool [n, height, width]: where the pixels are of each segment; `UserError` where the file has
    another size or no pixel of a segment."""
    pixels = np.asarray(decode_image(path.read_bytes(), str(path)), np.int64)
    number = pixels @ np.array([1, 256, 256**2])
    if number.shape != size[::-1]:
        raise UserError(
            f"{path}: the masks are {number.shape[1]}x{number.shape[0]}, annotated as "
            f"{size[0]}x{size[1]}; give the PNGs of this annotation file"
        )
    found = number == np.array(ids, np.int64).reshape(-1, 1, 1)
    if empty := [i for i, mask in zip(ids, found, strict=True) if not mask.any()]:
        raise UserError(
            f"{path}: no pixel is of segment {empty[0]}; give the PNGs of this annotation file"
        )
    return found


def _check(row: Row, images: Mapping[int, Row], classes: Mapping[int, Row], path: Path) -> None:
    where = f"{path}: annotation of image {row['image_id']}"
    if row["image_id"] not in images:
        raise UserError(f"{where}: no such image in the file; give the file of one set, whole")
    if row["segments_info"]:
        rows_of(row, "segments_info", SEGMENT, path)
    unknown = {segment["category_id"] for segment in row["segments_info"]} - set(classes)
    if unknown:
        raise UserError(
            f"{where}: category {shown(min(unknown))} is not among the {len(classes)} of the file; "
            "give the file of one set, whole"
        )
