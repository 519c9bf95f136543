"""A part of a benchmark's data, for a first look: figures of it are marked as partial."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from cloc.errors import UserError

T = TypeVar("T")


def spread(items: Sequence[T], limit: int | None) -> list[T]:
    """`limit` of the items, evenly from the first to the last and in their order: files are sorted
    by class or kind, and the first ones alone would be of one. All where there are no more."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[i * len(items) // limit] for i in range(limit)]


def limited(benchmark: T, limit: int | None, *, name: str) -> T:
    """The same with its field `limit` set; `UserError` where it has none, since figures of all its
    data must not be called partial."""
    if limit is None:
        return benchmark
    if not is_dataclass(benchmark) or "limit" not in {f.name for f in fields(benchmark)}:
        raise UserError(
            f"limit={limit}: benchmark {name} reads its own data and has no field limit; leave "
            "limit= out, or give the benchmark that field"
        )
    return cast(T, replace(cast(Any, benchmark), limit=limit))
