"""Whether the values of a composed configuration are of the kinds that its keys hold."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig

from cloc.cli.config.kinds import Form, Kind, default_of, kind, pointed_at
from cloc.errors import UserError


def check_values(defaults: DictConfig, values: Mapping[str, Any]) -> None:
    """`UserError` for the first value of another kind than its key's in `defaults`, which is the
    configuration before the person's own values. `values` are resolved."""
    _check_parts(defaults, values)
    for key, value in _flat(defaults, values, ""):
        wanted = kind(defaults, key)
        _, default = pointed_at(defaults, key)
        if isinstance(default, dict) and wanted.form is Form.ANY:
            if not isinstance(value, dict):
                keys = ", ".join(f"{key}.{name}" for name in default)
                holds = f"{key} holds other keys: {keys}" if keys else f"give {key}.NAME=VALUE"
                raise UserError(f"{key}={_shown(value)}; {holds}")
            if "_target_" in default and "_target_" not in value:
                raise UserError(
                    f"{key}={_shown(value)} is no part; give {key}._target_=package.Class, or "
                    f"leave {key} out"
                )
        elif not _is_of(value, wanted):
            raise UserError(f"{key}={_shown(value)}; give {expected(wanted)}")


def _check_parts(defaults: DictConfig, values: Mapping[str, Any]) -> None:
    """An entry of one's own is a part, and a source of data is whole."""
    for group in ("losses", "benchmarks", "logger"):
        for name, part in (values.get(group) or {}).items():
            if not isinstance(part, dict) or "_target_" not in part:
                raise UserError(
                    f"{group}.{name}={_shown(part)} is no part; give {group}.{name}._target_="
                    "package.Class, or a file of one's own in configs/"
                )
    sources = (values.get("data") or {}).get("sources") or {}
    usual = default_of(defaults, "data.sources.train")
    for name, source in sources.items() if isinstance(usual, dict) else ():
        lacks = [key for key in usual if not isinstance(source, dict) or key not in source]
        if lacks:
            raise UserError(
                f"data.sources.{name} has no {', '.join(lacks)}; a second source is data=mixed, or "
                "write one whole in a file of configs/data"
            )


def _flat(defaults: DictConfig, value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every key whose value is not a group of further ones, or should be one."""
    if isinstance(value, dict) and (not key or isinstance(default_of(defaults, key), dict)):
        for name, inner in value.items():
            yield from _flat(defaults, inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def _is_of(value: Any, wanted: Kind) -> bool:
    return wanted.null if value is None else bool(_TESTS[wanted.form](value, wanted))


def _is_text(value: Any, wanted: Kind) -> bool:
    return isinstance(value, str) and bool(value or wanted.empty)


def _are_texts(value: Any, wanted: Kind) -> bool:
    return isinstance(value, list) and all(_is(inner, str) for inner in value)


def _are_numbers(value: Any, wanted: Kind) -> bool:
    is_long = isinstance(value, list) and len(value) == (wanted.length or max(len(value), 1))
    return is_long and all(_is_number(inner, wanted) for inner in value)


def _is(value: Any, element: Any) -> bool:
    return isinstance(value, element) and not isinstance(value, bool)


def _is_number(value: Any, wanted: Kind) -> bool:
    if not _is(value, int if wanted.form is Form.INT else int | float):
        return False
    is_low = value <= wanted.low if wanted.above else value < wanted.low
    return math.isfinite(value) and not is_low and value <= wanted.high


def _is_learned(value: Any, wanted: Kind) -> bool:
    inner = value["learned"] if isinstance(value, dict) and set(value) == {"learned"} else value
    return _is_number(inner, wanted)


def _is_share(value: Any, wanted: Kind) -> bool:
    several = value.values() if isinstance(value, dict) else [value]
    return all(_is_number(inner, wanted) for inner in several)


_TESTS: Mapping[Form, Callable[[Any, Kind], Any]] = {
    Form.TEXT: _is_text,
    Form.TEXTS: lambda value, kind: _is_text(value, kind) or (_are_texts(value, kind) and value),
    Form.LIST: _are_texts,
    Form.NUMBERS: _are_numbers,
    Form.INT: _is_number,
    Form.NUMBER: _is_number,
    Form.NUMBER_OR_MAP: _is_share,
    Form.NUMBER_OR_LEARNED: _is_learned,
    Form.BOOL: lambda value, kind: isinstance(value, bool),
    Form.TEXT_OR_MAP: lambda value, kind: isinstance(value, dict) or _is_text(value, kind),
    Form.MAP: lambda value, kind: isinstance(value, dict),
    Form.ANY: lambda value, kind: True,
}


def expected(wanted: Kind) -> str:
    """What would work, such as "a number above 0, or null"."""
    said = f"{wanted.length} numbers, as [a,b]" if wanted.length else wanted.form.value
    if wanted.form in (Form.INT, Form.NUMBER, Form.NUMBER_OR_MAP, Form.NUMBER_OR_LEARNED):
        least = f"above {wanted.low:g}" if wanted.above else f"of {wanted.low:g} or more"
        said += (
            f" {least}" if wanted.high == math.inf else f" from {wanted.low:g} to {wanted.high:g}"
        )
    return f"{said}, or null" if wanted.null else said


def _shown(value: Any) -> str:
    """As it would be typed."""
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_shown(inner)}' for key, inner in value.items())}}}"
    words = {"None": "null", "True": "true", "False": "false"}
    return str(value) if isinstance(value, str) else words.get(str(value), str(value))
