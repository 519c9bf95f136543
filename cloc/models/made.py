"""Parts from plain mappings: what a user wrote is checked before anything is built of it."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from cloc.errors import UserError

T = TypeVar("T")
KINDS: Mapping[Any, str] = {
    **{int: "a whole number", float: "a number", bool: "true or false", str: "a text"},
    **{Sequence: "a list", list: "a list", tuple: "a list", Mapping: "a mapping", NoneType: "null"},
}


def made(make: Callable[..., T], options: Mapping[str, Any], key: str, *given: Any) -> T:
    """`make` of `given` and `options`. A misspelt option, or a value of another kind than `make`
    says it takes, is the user's error, and named by its key."""
    try:
        inspect.signature(make).bind(*given, **options)
    except TypeError as error:
        known = [
            name
            for name, parameter in inspect.signature(make).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        ]
        raise UserError(f"{key}: {error}; its options are {', '.join(known)}") from None
    hints = get_type_hints(make.__init__ if inspect.isclass(make) else make)
    for name, value in options.items():
        kinds = _kinds(hints.get(name, Any))
        if kinds and not any(_is(value, kind) for kind in kinds):
            told = " or ".join(dict.fromkeys(KINDS[get_origin(kind) or kind] for kind in kinds))
            raise UserError(f"{key}.{name}={value}; give {told}")
    return make(*given, **options)


def _kinds(hint: Any) -> list[Any]:
    """What `hint` is one of; none where something else than plain values may be given."""
    kinds = list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]
    return kinds if all((get_origin(kind) or kind) in KINDS for kind in kinds) else []


def _is(value: Any, kind: Any) -> bool:
    own = get_origin(kind) or kind
    if own is float:
        return _is(value, int) or (isinstance(value, float) and not math.isnan(value))
    if own is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if own in (Sequence, list, tuple):
        if isinstance(value, str) or not isinstance(value, Sequence):
            return False
        inner = [kinds for one in get_args(kind)[:1] if (kinds := _kinds(one))]
        return all(any(_is(item, one) for one in kinds) for kinds in inner for item in value)
    return isinstance(value, own)
