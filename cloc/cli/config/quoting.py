"""What a person types as a path, a name or a text arrives as typed, whatever Hydra's grammar says.

Hydra reads a value as its own language: `photos (2024)` is an error there, `2024_11` a number, and
OmegaConf replaces `${...}`. A value of a key that holds text is therefore quoted for both of them.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from braceexpand import braceexpand

from cloc.cli.config.kinds import Form, Kind
from cloc.data.shards.patterns import find
from cloc.errors import UserError

_TEXTS = (Form.TEXT, Form.TEXTS, Form.TEXT_OR_MAP)
_OVERRIDE = re.compile(r"(~|\+{0,2})([^=]*)=(.*)", re.DOTALL)


# Mappings whose entries may have any name, so that one that is not there yet is added; in the first
# ones these are names and paths of a person's own, which no grammar reads.
PLACES = ("splits", "eval.splits")
NAMED = (*(f"{key}." for key in PLACES), "rates.wait.", "weights.", "engine.actors.")


class Given(NamedTuple):
    """One `KEY=VALUE` of a command."""

    sign: str  # "", "+", "++" or "~"
    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.sign}{self.key}={self.value}"


def parse(override: str) -> Given | None:
    """None for what has no value."""
    found = _OVERRIDE.fullmatch(override)
    return found and Given(*found.groups())


def is_override(word: str) -> bool:
    """Of a command that also takes paths: KEY=VALUE or ~KEY, unless there is such a path, or one
    that it is a pattern of (`dt=2024/*.tar`)."""
    is_key = re.match(r"[+~]*[A-Za-z_][\w.]*=", word) or re.fullmatch(r"~[A-Za-z_][\w.]*", word)
    if not is_key or os.path.lexists(word):
        return False
    try:
        return not any(find(path) for path in braceexpand(word))
    except ValueError:  # braces that do not match
        return True


def added_if_named(override: str) -> str:
    """An entry of `NAMED`, or several as {name: value}, with the sign that adds them."""
    key, _, value = override.partition("=")
    are_several = f"{key}." in NAMED and value.lstrip().startswith("{")
    return f"++{override}" if are_several or override.startswith(NAMED) else override


class Entry(NamedTuple):
    """Of a mapping of `PLACES`."""

    key: str
    name: str
    value: str | list[str]


def entries_of(override: str) -> list[Entry] | None:
    """What `splits.NAME=PATH` or `splits={NAME: PATH, ..}` sets, as typed; None for another key.
    A name that is there twice raises `UserError`."""
    given = parse(override)
    key = given and next((k for k in PLACES if given.key == k or given.key.startswith(f"{k}.")), "")
    if given is None or not key or given.sign == "~":
        return None
    if given.key != key:
        return [Entry(key, given.key[len(key) + 1 :], _place(given.value))]
    inner = re.fullmatch(r"\s*\{(.+)\}\s*", given.value, re.DOTALL)
    if inner is None:  # {} and null are Hydra's to read
        return None
    found = [part.partition(":") for part in _parts(inner[1])]
    if not all(colon and name.strip() and path.strip() for name, colon, path in found):
        raise UserError(f"{override}: write {key}={{NAME: PATH}}, or {key}.NAME=PATH")
    names = [_unquoted(name.strip()) for name, _, _ in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{override}: {twice} is there twice; keep one")
    paths = [_unquoted(path.strip()) for _, _, path in found]
    return [Entry(key, name, _place(path)) for name, path in zip(names, paths, strict=True)]


def _place(value: str) -> str | list[str]:
    return split(value.strip()[1:-1]) if _is_list(value) else value


def quoted(override: str, kind_of: Callable[[str], Kind]) -> str:
    """The override for Hydra, in which a text stands for itself."""
    given = parse(override)
    return override if given is None else str(given._replace(value=_value(given, kind_of)))


def _value(given: Given, kind_of: Callable[[str], Kind]) -> str:
    kind, value = kind_of(given.key), given.value
    if (kind.null and value == "null") or given.sign == "~":
        return value
    if kind.form in (Form.TEXTS, Form.LIST) and _is_list(value):
        return f"[{','.join(_quote(part) for part in split(value.strip()[1:-1]))}]"
    if kind.form is Form.TEXT_OR_MAP and value.lstrip().startswith("{"):
        return value
    return _quote(value) if kind.form in _TEXTS else value


def alternatives(override: str, kind_of: Callable[[str], Kind]) -> list[str] | None:
    """The overrides of a sweep over a text: its parts between commas, or itself where such a path
    exists; None where the key holds no text, and the sweep is Hydra's to understand."""
    given = parse(override)
    if given is None or kind_of(given.key).form not in (Form.TEXT, Form.TEXTS):
        return None
    if os.path.lexists(given.value):
        return [override]
    return [str(given._replace(value=part)) for part in split(given.value)]


def _is_list(value: str) -> bool:
    """A folder of that name is a folder."""
    return bool(re.fullmatch(r"\s*\[.*\]\s*", value, re.DOTALL)) and not os.path.lexists(value)


def split(text: str) -> list[str]:
    """The parts between commas that stand in no quotes, brackets or braces; quotes around a whole
    part protect it and are taken off."""
    return [_unquoted(part.strip()) for part in _parts(text)] if text.strip() else []


def _parts(text: str) -> Iterator[str]:
    begin, depth, quote = 0, 0, ""
    for i, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"" and not text[begin:i].strip():
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and depth <= 0:
            yield text[begin:i]
            begin = i + 1
    yield text[begin:]


def _unquoted(part: str) -> str:
    whole = len(part) > 1 and part[0] == part[-1] and part[0] in "'\""
    return part[1:-1] if whole else part


def _quote(text: str) -> str:
    """Hydra's quotes around OmegaConf's words for `text`."""
    return in_quotes(literal(text))


def in_quotes(text: str) -> str:
    """As Hydra's grammar has a string."""
    escaped = re.sub(r"(\\*)(?='|$)", r"\1\1", text).replace("'", r"\'")
    return f"'{escaped}'"


def literal(value: Any) -> Any:
    """The same data, in which OmegaConf replaces nothing when it reads them."""
    if isinstance(value, str):
        return re.sub(r"(\\*)\$\{", lambda found: rf"{found[1] * 2}\${{", value)
    if isinstance(value, dict):
        return {key: literal(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [literal(inner) for inner in value]
    return value
