"""What a decoder is that goes on from a trained one."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cloc.errors import UserError

KEY = "decoder"
REPAIRS = ("pin", "twin")
Makers = Mapping[str, Callable[..., Any]]  # of the options that are mappings, by dotted key


def as_started(
    asked: Mapping[str, Any], there: Mapping[str, Any], makers: Makers
) -> dict[str, Any]:
    """The description `there` of a trained decoder, for one that goes on from it.

    `UserError` where `asked` says another thing: what it does not say is none, and what `there`
    does not say is the default of its maker. Repairs may be new, and with a new PIN
    `connector.places` may be false where it was true: the PIN takes their place.
    """
    told = dict(there)
    if "pin" in asked and "pin" not in there and _places(asked) is False and _places(there):
        told["connector"] = {**there["connector"], "places": False}
    same = {key: x for key, x in asked.items() if key in there or key not in REPAIRS}
    _refuse_others(same, told, makers, KEY)
    return told


def _places(options: Mapping[str, Any]) -> bool | None:
    return (options.get("connector") or {}).get("places")


def _refuse_others(
    asked: Mapping[str, Any], there: Mapping[str, Any], makers: Makers, at: str
) -> None:
    for name, value in asked.items():
        key, known = f"{at}.{name}", there.get(name)
        if key in makers:
            known = _filled(known, makers[key])
            value = _filled(None, makers[key]) if value is None else value
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            _refuse_others(value, known, makers, key)
        elif value != known:
            raise UserError(
                f"{key}={value}, but the decoder to start from has {known}; set it alike, or leave "
                "it out"
            )


def _filled(options: Mapping[str, Any] | None, maker: Callable[..., Any]) -> dict[str, Any]:
    """With the defaults of `maker` for what is not said."""
    found = inspect.signature(maker).parameters.values()
    own = {one.name: one.default for one in found if one.default is not one.empty}
    return {**own, **(options or {})}
