"""The objects of a large JSON file one by one: a list of them, or one on each line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from cloc.errors import UserError
from data_prep.importers.shared.documents import decoder, parse_json

CHUNK = 1 << 20  # characters
MAX_ROW = 64 << 20  # characters of one object: a file that is no list must not fill the memory


def rows(path: Path, *, key: str) -> Iterator[dict[str, Any]]:
    """Objects of `[{..}, {..}]` or of JSON lines, told by the first character and not by the name.

    Only one of them is held in memory. A missing file, malformed JSON and an element that is no
    object are a `UserError` that names the file, the place and the config key.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give it with {key}=FILE")
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:  # a bare \r ends no line
            begin = file.read(1)
            while begin.isspace():
                begin = file.read(1)
            found = _elements(file) if begin == "[" else _lines(file, begin)
            for number, row in found:
                if not isinstance(row, dict):
                    what = f"{number} is a {type(row).__name__}, expected an object"
                    raise UserError(f"{path}: {what}; give another file with {key}=FILE")
                yield row
    except (ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: not JSON in UTF-8 ({error}); download the file again") from None


def _lines(file: TextIO, begin: str) -> Iterator[tuple[str, Any]]:
    number = 0
    while line := begin + file.readline(MAX_ROW):
        begin, number = "", number + 1
        if len(line) >= MAX_ROW:
            raise ValueError(f"line {number} has over {MAX_ROW:,} characters")
        if line.strip():
            try:
                row = parse_json(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
            yield f"line {number}", row


def _elements(file: TextIO) -> Iterator[tuple[str, Any]]:
    """Of a list whose bracket has been read."""
    values = decoder()
    text, at, number, comma_due = "", 0, 0, False
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            text, at = _more(file, number), 0
        elif text[at] == "]":
            break
        elif comma_due:
            if text[at] != ",":
                raise ValueError(f"a comma was expected after element {number}")
            at, comma_due = at + 1, False
        else:
            try:
                row, at = values.raw_decode(text, at)
            except json.JSONDecodeError:
                if len(text) - at > MAX_ROW:
                    raise ValueError(f"element {number + 1} is malformed or too long") from None
                text, at = text[at:] + _more(file, number), 0
                continue
            number, comma_due = number + 1, True
            yield f"element {number}", row
    if (text[at + 1 :] + file.read(CHUNK)).strip():
        raise ValueError("something follows the list")


def _more(file: TextIO, number: int) -> str:
    if chunk := file.read(CHUNK):
        return chunk
    raise ValueError(f"it ends within the list, or element {number + 1} is malformed")
