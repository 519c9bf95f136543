"""Tables, lines and bars on a terminal, in which the names of files and runs stand as they are.

Left to itself rich takes `set[v2]` for the name "set", `:star:` for a picture and `[/b]` for an
error. No torch here: data preparation stands on this file too.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import IO, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")


def plain_console(file: IO[str] | None = None, *, width: int | None = None) -> Console:
    """On which a string is no markup: not in a table, its head or its cells either. What is to be
    bold is a `rich.text.Text`."""
    return Console(file=file, width=width, markup=False, emoji=False)


def shows_bars(out: IO[str] | None = None) -> bool:
    """Whether somebody looks on: at a terminal, or in a notebook, whose output is none."""
    out = out or sys.stdout
    return out.isatty() or (out is sys.stdout and Console().is_jupyter)


def progress(*columns: ProgressColumn, hidden: bool) -> Progress:
    """A bar whose description stands before `columns`."""
    description = TextColumn("{task.description}", markup=False)
    return Progress(description, *columns, console=plain_console(), disable=hidden)


def track(items: Iterable[T], description: str, *, total: int | None, hidden: bool) -> Iterator[T]:
    """The items, under a bar with the share that is done and the time that is left."""
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(elapsed_when_finished=True))
    with progress(*columns, hidden=hidden) as bar:
        yield from bar.track(items, total=total, description=description)
