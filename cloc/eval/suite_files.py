"""Annotation files of published suites, read with their faults told in one line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cloc.errors import UserError
from cloc.eval import annotations

WHERE = "its root"  # what is set where a file is not there


def read_json(path: Path, *, form: type) -> Any:
    """The list or mapping of a JSON file; `UserError` where it is missing, broken, of another form
    or empty."""
    return _checked(annotations.read_json(path, key=WHERE), path, form)


def read_json_lines(path: Path) -> list[Any]:
    """What stands on the lines of a file, empty ones left out; `UserError` as for `read_json`."""
    return list(_checked(annotations.read_list(path, key=WHERE), path, list))


def text_of(row: Any, field: str, where: str) -> str:
    """The words in `field` of a record, without spaces around them."""
    found = _value(row, field, where)
    if not isinstance(found, str) or not found.strip():
        raise UserError(f"{where}: {field} is {found!r}, not a text; take the file as published")
    return found.strip()


def texts_of(row: Any, field: str, where: str, *, count: int) -> tuple[str, ...]:
    """The `count` texts in `field` of a record."""
    found = _value(row, field, where)
    good = isinstance(found, list) and all(isinstance(x, str) and x.strip() for x in found)
    if not good or len(found) != count:
        raise UserError(
            f"{where}: {field} is {_short(found)}, not {count} texts; take the file as published"
        )
    return tuple(text.strip() for text in found)


def whole_number_of(row: Any, field: str, where: str) -> int:
    """The whole number in `field` of a record."""
    found = _value(row, field, where)
    good = isinstance(found, int | float) and not isinstance(found, bool)
    if not good or not float(found).is_integer():
        raise UserError(
            f"{where}: {field} is {_short(found)}, not a whole number; take the file as published"
        )
    return int(found)


def _value(row: Any, field: str, where: str) -> Any:
    if not isinstance(row, Mapping) or field not in row:
        held = ", ".join(map(str, row)) if isinstance(row, Mapping) else _short(row)
        raise UserError(f"{where}: no {field} (it holds {held}); take the file as published")
    return row[field]


def _checked(found: Any, path: Path, form: type) -> Any:
    if not isinstance(found, form):
        raise UserError(
            f"{path} holds a JSON {type(found).__name__} where the published file has a "
            f"{form.__name__}; is it of another benchmark?"
        )
    if not found:
        raise UserError(f"{path} holds no case; fetch the file again")
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:80]}..."


def phrase_in(text: str, *, phrases: Sequence[str]) -> str | None:
    """The first of `phrases` that stands in `text` as whole words, in any case; None without."""
    words = f" {' '.join(text.lower().replace('.', ' ').replace(',', ' ').split())} "
    return next((phrase for phrase in phrases if f" {phrase} " in words), None)
