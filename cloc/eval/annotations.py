"""Other people's annotation files: JSON whose fields are checked before they are used."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cloc.data.samples.text import lines
from cloc.data.samples.validate import is_finite, shown
from cloc.errors import UserError, one_line

Row = dict[str, Any]
Kinds = Mapping[str, type | tuple[type, ...]]


def read_json(path: Path, *, key: str) -> Any:
    """What the file holds; `UserError` of one line where it is not there or is no JSON. `key` is
    the config key that leads to it."""
    _require(path, key)
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: this is no JSON ({one_line(error)}); get it again") from None


def read_list(path: Path, *, key: str) -> list[Any]:
    """Of a JSON list, or of JSONL: one value a line, where the name ends so."""
    if path.suffix != ".jsonl":
        found = read_json(path, key=key)
        if not isinstance(found, list):
            raise UserError(f"{path}: {shown(found)} where a list is expected; {_OTHER}")
        return found
    _require(path, key)
    rows = []
    for number, line in enumerate(lines(read_text(path)), 1):
        try:
            rows += [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError):
            raise UserError(f"{path}: line {number} is no JSON; correct that line") from None
    return rows


def read_text(path: Path) -> str:
    """Without the mark that some editors put first; `UserError` where it is not UTF-8: words with
    letters that stand for others would be measured as if they were right."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({one_line(error)}); save it as UTF-8") from None


def _require(path: Path, key: str) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such file; set {key} to where it lies")


def rows_of(data: Any, name: str, kinds: Kinds, path: Path) -> list[Row]:
    """The objects listed under `name` (`data` itself where it is a list), each with every field of
    `kinds` and of its kind; `UserError` with the first that is not."""
    given = data.get(name) if isinstance(data, dict) else data
    if not isinstance(given, list):
        raise UserError(f"{path}: it has no list {name!r}; {_OTHER}")
    if not given:
        raise UserError(f"{path}: its list {name!r} is empty; {_OTHER}")
    for number, row in enumerate(given):
        for field, kind in kinds.items():
            value = row.get(field) if isinstance(row, dict) else None
            if not isinstance(value, kind) or isinstance(value, bool):
                raise UserError(
                    f"{path}: {name}[{number}] has {field}={shown(value)}, expected "
                    f"{_words(kind)}; {_OTHER}"
                )
    return given


_OTHER = "give the annotation file that this benchmark reads"


def _words(kind: type | tuple[type, ...]) -> str:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    words = {int: "a whole number", str: "a text", list: "a list", dict: "an object"}
    return " or ".join(words.get(kind, kind.__name__) for kind in kinds)


def by_id(rows: Sequence[Row], path: Path, name: str, field: str = "id") -> dict[Any, Row]:
    """`UserError` where two have the same."""
    found: dict[Any, Row] = {}
    for row in rows:
        if found.setdefault(row[field], row) is not row:
            raise UserError(f"{path}: two of {name} have {field}={row[field]}; remove one of them")
    return found


def corners(bbox: Any, where: str) -> np.ndarray:
    """COCO's (x, y, width, height) in pixels as float32 (x0, y0, x1, y1)."""
    right = isinstance(bbox, list) and len(bbox) == 4 and all(map(is_finite, bbox))
    if not right or min(bbox[2:]) <= 0:
        raise UserError(
            f"{where}: bbox is {shown(bbox)}, expected x, y, width and height in pixels, the last "
            "two above 0; correct or remove it"
        )
    x, y, width, height = map(float, bbox)
    return np.array([x, y, x + width, y + height], np.float32)
