"""The JSON files of a COCO-style annotation set, checked as far as their form goes."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloc.data.record import Caption
from cloc.errors import UserError


def read_captions(path: Path) -> dict[int, tuple[Caption, ...]]:
    data = read_json(path, ("annotations",), key="captions")
    rows = by_image(rows_of(data, "annotations", ("id", "image_id", "caption"), path))
    found = {}
    for image_id, annotations in rows.items():
        for row in annotations:
            if not isinstance(row["caption"], str) or not row["caption"].strip():
                raise UserError(
                    f"{path}: annotation {row['id']} has caption {row['caption']!r}, expected "
                    "some words; correct or remove that annotation"
                )
        found[image_id] = tuple(
            Caption(" ".join(r["caption"].split()), "coco") for r in annotations
        )
    return found


def read_json(path: Path, names: Sequence[str], *, key: str) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the annotation file with {key}=FILE")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); download the file again") from None
    missing = [n for n in names if not isinstance(data, dict) or not isinstance(data.get(n), list)]
    if missing:
        raise UserError(f"{path}: no list {missing[0]!r}; give a COCO file with {key}=FILE")
    return data


def rows_of(
    data: Mapping[str, Any], name: str, fields: Sequence[str], path: Path
) -> list[dict[str, Any]]:
    """The objects of one list, each with all `fields`."""
    for i, row in enumerate(data[name]):
        missing = [f for f in fields if not isinstance(row, dict) or f not in row]
        if missing:
            given = row.get("id", i) if isinstance(row, dict) else i
            raise UserError(f"{path}: {name} {given} has no {missing[0]!r}; correct that entry")
    return list(data[name])


def by_image(rows: Iterable[dict[str, Any]]) -> dict[int, tuple[dict[str, Any], ...]]:
    """Grouped by image, in order of annotation id, whatever order the file has."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        found.setdefault(row["image_id"], []).append(row)
    return {image_id: tuple(group) for image_id, group in found.items()}


def refuse_strangers(
    boxes: Mapping[int, Sequence[Mapping[str, Any]]],
    rows: Sequence[Mapping[str, Any]],
    path: Path,
) -> None:
    """An annotation of an image that the file does not list, or an image listed twice."""
    counts = Counter(row["id"] for row in rows)
    twice = [image_id for image_id, count in counts.items() if count > 1]
    if twice:
        raise UserError(f"{path}: image {twice[0]} is listed twice; remove one of the two")
    lost = [group[0] for image_id, group in boxes.items() if image_id not in counts]
    if lost:
        raise UserError(
            f"{path}: annotation {lost[0]['id']} belongs to image {lost[0]['image_id']}, which "
            "the file does not list; add the image or remove that annotation"
        )
