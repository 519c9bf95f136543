"""One annotated image as shards hold it: encoded bytes and pixel boxes, schema `cloc-regions/1`.

No torch here: data preparation and the loader both stand on this file.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cloc.errors import UserError

SCHEMA = "cloc-regions/1"
IMAGE_EXTENSIONS = ("jpg", "png", "webp")


@dataclass(frozen=True, slots=True)
class Caption:
    """A sentence about the whole image and who wrote it."""

    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Region:
    """A box in pixels of the stored image, (x0, y0, x1, y1), and what it shows."""

    box: tuple[float, float, float, float]
    text: str
    score: float = 1.0
    source: str = ""
    negatives: tuple[str, ...] = ()  # phrases that are wrong for this box
    label: str = ""  # class name, where the data set has classes


@dataclass(frozen=True, slots=True)
class Record:
    """`image` is encoded (jpg, png or webp by `extension`); `meta` is free-form JSON."""

    key: str
    image: bytes
    extension: str
    width: int
    height: int
    captions: tuple[Caption, ...] = ()
    regions: tuple[Region, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)


def check_box(box: Any, width: int, height: int, where: str) -> tuple[float, float, float, float]:
    """Four finite numbers, ordered, with some area inside the image; clipped to the image."""
    cure = "fix or drop the region where the shard is made"
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        raise UserError(f"{where}: box {box!r} is not [x0, y0, x1, y1]; {cure}")
    if not all(_is_finite(x) for x in box):
        raise UserError(f"{where}: box {list(box)} has a coordinate that is not finite; {cure}")
    x0, y0, x1, y1 = (float(x) for x in box)
    if x0 >= x1 or y0 >= y1:
        raise UserError(f"{where}: box {list(box)} is reversed or empty (x0 < x1, y0 < y1); {cure}")
    x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    if x0 >= x1 or y0 >= y1:
        raise UserError(f"{where}: box {list(box)} lies outside the {width}x{height} image; {cure}")
    return x0, y0, x1, y1


def to_json(record: Record) -> dict[str, Any]:
    """The `.json` member of a sample; keys in a fixed order, so equal records give equal bytes."""
    return {
        "schema": SCHEMA,
        "width": record.width,
        "height": record.height,
        "captions": [{"text": c.text, "source": c.source} for c in record.captions],
        "regions": [_region_json(region) for region in record.regions],
        "meta": dict(record.meta),
    }


def _region_json(region: Region) -> dict[str, Any]:
    return {
        "box": [round(x, 2) for x in region.box],
        "text": region.text,
        "score": region.score,
        "source": region.source,
        "negatives": list(region.negatives),
        "label": region.label,
    }


def from_json(key: str, image: bytes, extension: str, text: bytes | str, where: str) -> Record:
    """Checks what it reads: a wrong schema or a bad box raises `UserError` naming `where`."""
    data = parse_json(text, where)
    width, height = _side(data, "width", where), _side(data, "height", where)
    captions = tuple(
        _caption(c, f"{where}: caption {i}") for i, c in enumerate(_dicts(data, "captions", where))
    )
    regions = tuple(
        _region(r, width, height, f"{where}: region {i}")
        for i, r in enumerate(_dicts(data, "regions", where))
    )
    meta = data.get("meta") or {}
    if not isinstance(meta, dict):
        raise UserError(f"{where}: meta is {meta!r}, expected an object")
    return Record(key, image, extension, width, height, captions, regions, meta)


def parse_json(text: bytes | str, where: str) -> dict[str, Any]:
    """An object of schema `cloc-regions/1`. NaN and Infinity, which Python's json admits, stay in;
    `check_box` names the box that holds one."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: the annotation is not JSON ({error})") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        given = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise UserError(
            f"{where}: schema {given!r}, expected {SCHEMA!r}; plain image-text shards are read "
            "with data=captions"
        )
    return data


def _is_finite(value: Any) -> bool:
    """Also False for an integer that no float holds: JSON has no bounds."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _caption(data: Mapping[str, Any], where: str) -> Caption:
    return Caption(_text(data, "text", where), _name(data, "source", where))


def _region(data: Mapping[str, Any], width: int, height: int, where: str) -> Region:
    return Region(
        box=check_box(data.get("box"), width, height, where),
        text=_text(data, "text", where),
        score=_score(data, where),
        source=_name(data, "source", where),
        negatives=_texts(data, "negatives", where),
        label=_name(data, "label", where),
    )


def _side(data: Mapping[str, Any], name: str, where: str) -> int:
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"{where}: {name} is {value!r}, expected the image's size in pixels")
    return value


def _dicts(data: Mapping[str, Any], name: str, where: str) -> list[Mapping[str, Any]]:
    value = data.get(name) or []
    if not isinstance(value, list) or not all(isinstance(x, dict) for x in value):
        raise UserError(f"{where}: {name} is not a list of objects")
    return value


def _text(data: Mapping[str, Any], name: str, where: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where}: {name} is {value!r}, expected some words")
    return value


def _name(data: Mapping[str, Any], name: str, where: str) -> str:
    """May be missing, null or empty."""
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise UserError(f"{where}: {name} is {value!r}, expected a word or nothing")
    return value or ""


def _texts(data: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = data.get(name) or []
    if not isinstance(value, list) or not all(isinstance(x, str) and x.strip() for x in value):
        raise UserError(f"{where}: {name} is {value!r}, expected a list of phrases")
    return tuple(value)


def _score(data: Mapping[str, Any], where: str) -> float:
    value = data.get("score", 1.0)
    if not _is_finite(value):
        raise UserError(f"{where}: score is {value!r}, expected a finite number")
    return float(value)
