"""RefCOCO, RefCOCO+ and RefCOCOg from plain JSON: sentences, the boxes they mean, all boxes."""

from collections.abc import Mapping, Sequence
from os.path import isfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cloc.data.samples.validate import shown
from cloc.errors import UserError
from cloc.eval.annotations import Row, by_id, corners, read_json, read_list, rows_of
from cloc.eval.pictures import picture_example, require_pictures
from cloc.interfaces import Example

IMAGE = {"id": int, "file_name": str, "width": int, "height": int}
OBJECT = {"id": int, "image_id": int, "bbox": list}
REF = {"ref_id": int, "ann_id": int, "image_id": int, "split": str, "sentences": list}
TRAIN = "train"  # the split that nothing is measured on


class Scene(NamedTuple):
    """A picture of a split with its sentences, each beside the box that it means."""

    path: Path
    key: str
    image_id: int
    size: tuple[int, int]
    sentences: tuple[str, ...]
    targets: np.ndarray  # float32 [q 4], pixels, one per sentence
    names: tuple[str, ...]  # of each sentence: KEY:ANNOTATION:REF.NUMBER
    boxes: np.ndarray  # float32 [n 4], pixels, all that are annotated in the picture

    def example(self, boxes: np.ndarray, **meta: Any) -> Example:
        """The picture with `boxes` (pixels)."""
        return picture_example(self.path, key=self.key, boxes=boxes, size=self.size, meta=meta)


def read_referring(folder: Path, *, pictures: Path, key: str) -> dict[str, list[Scene]]:
    """Split -> its pictures in order of id; `train` is left out.

    `folder` holds instances.json, COCO's own form with `images` and `annotations`, and refs.json (a
    list) or refs.jsonl (one a line) of objects with ref_id, ann_id, image_id, split and sentences,
    a list of texts or of {"sent": text}: what upstream's refs(...).p holds, which is a pickle and
    is not read, because a pickle can run code. `key` is the config key that names the folder.
    """
    instances = folder / "instances.json"
    data = read_json(instances, key=key)
    images = by_id(rows_of(data, "images", IMAGE, instances), instances, "images")
    objects = by_id(rows_of(data, "annotations", OBJECT, instances), instances, "annotations")
    boxes: dict[int, list[np.ndarray]] = {}
    for row in objects.values():
        where = f"{instances}: annotation {row['id']}"
        boxes.setdefault(row["image_id"], []).append(corners(row["bbox"], where))
    path = _refs_file(folder, key)
    splits: dict[str, dict[int, list[Row]]] = {}
    refs = rows_of(read_list(path, key=key), "refs", REF, path)
    for ref in sorted(refs, key=lambda row: row["ref_id"]):
        _check(ref, objects, images, path)
        if ref["split"] != TRAIN:
            splits.setdefault(ref["split"], {}).setdefault(ref["image_id"], []).append(ref)
    if not splits:
        raise UserError(f"{path}: all refs are of split train; give a file with a val or a test")
    found = {
        split: [
            _scene(images[i], rows, objects, np.stack(boxes[i]), pictures)
            for i, rows in sorted(of_split.items())
        ]
        for split, of_split in splits.items()
    }
    require_pictures([scene.path for scenes in found.values() for scene in scenes], key=key)
    return found


def read_proposals(path: Path, known: Sequence[int], *, key: str) -> dict[int, np.ndarray]:
    """Image id -> float32 [n 4] pixels, of a file in COCO's form of results: a list of objects with
    image_id and bbox (x, y, width, height). `known` are the images that are asked about; where
    there is no proposal for any of them, the file is of another set: `UserError`."""
    found: dict[int, list[np.ndarray]] = {}
    given = read_list(path, key=key)
    if not given:
        raise UserError(f"{path}: no proposal in it; set {key} to a file of this set")
    rows = rows_of(given, "proposals", {"image_id": int, "bbox": list}, path)
    for number, row in enumerate(rows):
        box = corners(row["bbox"], f"{path}: proposal {number}")
        found.setdefault(row["image_id"], []).append(box)
    if not set(found) & set(known):
        raise UserError(
            f"{path}: proposals of {len(found)} images, and none is one of the {len(known)} asked "
            f"about; set {key} to a file of this set"
        )
    return {image: np.stack(boxes) for image, boxes in found.items()}


def _refs_file(folder: Path, key: str) -> Path:
    for name in ("refs.json", "refs.jsonl"):
        if (folder / name).is_file():
            return folder / name
    pickles = sorted(folder.glob("refs*.p"))
    instead = f"{pickles[0].name} is a pickle, which can run code, and is not read; " * bool(
        pickles
    )
    raise UserError(
        f"{folder}: neither refs.json nor refs.jsonl; {instead}write the list that upstream's "
        f"refs(...).p holds as JSON, or set {key} to the folder that has it"
    )


def _check(ref: Row, objects: Mapping[int, Row], images: Mapping[int, Row], path: Path) -> None:
    target = objects.get(ref["ann_id"])
    if target is None or target["image_id"] != ref["image_id"] or ref["image_id"] not in images:
        raise UserError(
            f"{path}: ref {ref['ref_id']} means annotation {ref['ann_id']} of image "
            f"{ref['image_id']}, which instances.json has not; give the instances.json of this set"
        )
    _sentences(ref, path)


def _sentences(ref: Row, path: Path | None = None) -> list[str]:
    found = [s.get("sent") if isinstance(s, dict) else s for s in ref["sentences"]]
    if not found:
        raise UserError(f"{path}: ref {ref['ref_id']} has no sentence; remove it")
    for text in found:
        if not isinstance(text, str) or not text.strip():
            raise UserError(
                f"{path}: ref {ref['ref_id']} has the sentence {shown(text)}, expected a text or "
                '{"sent": text}; correct or remove it'
            )
    return [str(text) for text in found]


def _scene(
    image: Row, refs: Sequence[Row], objects: Mapping[int, Row], boxes: np.ndarray, folder: Path
) -> Scene:
    key = Path(image["file_name"]).stem
    sentences: list[str] = []
    targets: list[np.ndarray] = []
    names: list[str] = []
    for ref in refs:
        box = corners(objects[ref["ann_id"]]["bbox"], f"annotation {ref['ann_id']}")
        for number, text in enumerate(_sentences(ref)):
            sentences.append(text)
            targets.append(box)
            names.append(f"{key}:{ref['ann_id']}:{ref['ref_id']}.{number}")
    return Scene(
        _picture(folder, image),
        key,
        image["id"],
        (image["width"], image["height"]),
        tuple(sentences),
        np.array(targets, np.float32).reshape(-1, 4),
        tuple(names),
        boxes,
    )


def _picture(folder: Path, image: Row) -> Path:
    """Under its name of 2014 or, where that is not there, of 2017: the same picture."""
    path, later = folder / image["file_name"], folder / f"{image['id']:012d}.jpg"
    return later if not isfile(path) and isfile(later) else path
