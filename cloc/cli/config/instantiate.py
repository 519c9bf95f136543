"""The parts that a checked configuration describes, in the words of Hydra's `instantiate`.

Hydra's own would read `${...}` again in text that was settled before, and so run what nobody has
looked at. Here text stays text, and a target is the very thing that `_trust` has looked at.
"""

import inspect
from functools import partial
from typing import Any

from cloc.cli.config.trust import BY_PATH, find
from cloc.errors import UserError

WORDS = {"_target_", "_partial_", "_args_", "_recursive_", "_convert_"}


def built(value: Any, key: str = "") -> Any:
    """Of plain values: a mapping with `_target_` is its call, inner ones first. `_partial_` leaves
    that call to be made, `_recursive_: false` the inner ones as they are; `key` is for messages."""
    if isinstance(value, list):
        return [built(inner, f"{key}[{i}]") for i, inner in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if "_target_" not in value:
        return {name: built(inner, _at(key, name)) for name, inner in value.items()}
    target = value["_target_"]
    if target in BY_PATH:
        return find(_at(key, "path"), value["path"])
    found = find(_at(key, "_target_"), target)
    inner = {name: given for name, given in value.items() if name not in WORDS}
    args = value.get("_args_", [])
    if value.get("_recursive_", True):
        inner = {name: built(given, _at(key, name)) for name, given in inner.items()}
        args = built(args, _at(key, "_args_"))
    is_partial = bool(value.get("_partial_", False))
    _check_options(found, args, inner, key=key, whole=not is_partial)
    return partial(found, *args, **inner) if is_partial else found(*args, **inner)


def _check_options(
    found: Any, args: list[Any], options: dict[str, Any], *, key: str, whole: bool
) -> None:
    """A misspelt option is the user's error, and named by its key."""
    try:
        signature = inspect.signature(found)
    except ValueError:  # of a class written in C
        return
    try:
        (signature.bind if whole else signature.bind_partial)(*args, **options)
    except TypeError as error:
        known = [name for name in signature.parameters if name not in ("self", "args", "kwargs")]
        raise UserError(
            f"{key or found.__name__}: {error}; {found.__name__} has {', '.join(known) or 'none'}"
        ) from None


def _at(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)
