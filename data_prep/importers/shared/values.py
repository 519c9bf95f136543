"""Values of other people's files, read by what they say: `"64"`, `64.0` and a numpy 64 are 64, and
`"False"` is no.

What a value does not say is None here; the importer that knows the place says what was expected.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from cloc.data.samples.validate import shown
from cloc.errors import UserError

# Python's own float() and int() also take 1_000 and digits of other scripts.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.A | re.I)
WHOLE = re.compile(r"[+-]?\d{1,4000}", re.A)  # int() refuses longer ones
YES, NO = {"true", "yes", "y", "t", "on"}, {"false", "no", "n", "f", "off"}
# What tables and tools write where nobody said anything.
UNSAID = {"", "none", "null", "nan", "n/a", "unspecified", "unknown"}


def number_of(value: Any) -> float | None:
    """An int or a float, perhaps NaN: of a number, also of another library's, or of its digits. A
    bool is none."""
    if type(value) is float or type(value) is int:  # nearly always
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        text = value.strip()
        if WHOLE.fullmatch(text):
            return int(text)
        return float(text) if NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    return value if isinstance(value, int) else float(value)


def whole_of(value: Any) -> int | None:
    """A whole number: 5, 5.0, "5", "5.0"."""
    number = number_of(value)
    if isinstance(number, float):
        return int(number) if number.is_integer() else None
    return number


def unsaid(value: Any) -> bool:
    """Null, NaN, blank, and the words for them."""
    if isinstance(value, str):
        return value.strip().casefold() in UNSAID
    return value is None or (isinstance(value, float | np.floating) and bool(value != value))


def flag_of(value: Any, *, otherwise: bool = False) -> bool | None:
    """Of a bool, of 0 and 1 and of the words for them; `otherwise` where nothing is said."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool):
        return value
    if unsaid(value):
        return otherwise
    word = value.strip().casefold() if isinstance(value, str) else ""
    if word in YES or word in NO:
        return word in YES
    number = number_of(value)
    return None if number not in (0, 1) else bool(number)


def numbers_of(values: Any, count: int | None = None) -> list[float] | None:
    """Of a list, a tuple or an array of `count` numbers; NaN and infinity are among them."""
    values = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(values, list | tuple) or (count is not None and len(values) != count):
        return None
    found = [number_of(value) for value in values]
    there = [number for number in found if number is not None]
    return there if len(there) == len(found) else None


def set_whole(row: dict[str, Any], names: Sequence[str], where: str) -> None:
    """Each of the row's fields as a whole number, in place; a `UserError` for what is none."""
    for name in names:
        found = whole_of(row[name])
        if found is None:
            what = f"has {name} {shown(row[name])}, expected a whole number"
            raise UserError(f"{where} {what}; correct that entry")
        row[name] = found


def set_flag(row: dict[str, Any], name: str, where: str, *, otherwise: bool = False) -> None:
    """The row's field as a bool, in place, `otherwise` where nothing is said."""
    found = flag_of(row.get(name), otherwise=otherwise)
    if found is None:
        what = f"has {name} {shown(row[name])}, expected true or false, 1 or 0"
        raise UserError(f"{where} {what}; correct that entry")
    row[name] = found


def one_name(found: Mapping[Any, Any], number: Any, name: Any, what: str, path: Path) -> None:
    """A `UserError` where the number has another name already: the last would win."""
    if number in found and found[number] != name:
        both = f"{shown(found[number])} and {shown(name)}"
        raise UserError(f"{path}: {what} {number} is called {both}; remove one of the two")
