"""What `compare` does: a table on the terminal, and a page where one is asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Column as Head
from rich.table import Table

from cloc.cli.pages.leaderboard import write_leaderboard
from cloc.errors import UserError
from cloc.eval.compare import Cell, Column, labels, read_result, table_of
from cloc.terminal import plain_console


def compare(folders: Sequence[str], out: str | None) -> None:
    """`UserError` for a folder that was not measured, or a page that cannot be written."""
    results = [read_result(Path(folder)) for folder in folders]
    if out is not None and not Path(out).parent.is_dir():
        raise UserError(f"out={out}: {Path(out).parent} is no folder; make it, or give another")
    table = table_of(results)
    names = short_names(folders)
    plain_console().print(printed(table, names))
    for more in sorted({column.more for column in table if column.more}):
        print(f"measured: {more}")
    if out is not None:
        write_leaderboard(Path(out), results, names, table)
        print(out)


def short_names(folders: Sequence[str]) -> list[str]:
    """The last part of each, or all of it where two would be alike."""
    last = [Path(folder).name for folder in folders]
    return last if len(set(last)) == len(last) else list(folders)


def printed(table: Mapping[Column, Sequence[Cell | None]], names: Sequence[str]) -> Table:
    """Figures with a chance line; differences to the first result in brackets where they may be
    none, with a question mark where the cases were not kept."""
    heads = ["figure", *names, *(f"{name} - {names[0]}" for name in names[1:]), "chance"]
    out = Table(*(Head(head, overflow="fold") for head in heads))
    for label, cells in zip(labels(table), table.values(), strict=True):
        chance = next((c.chance for c in cells if c is not None and c.chance is not None), None)
        if chance is not None:
            values = ["" if cell is None else f"{cell.value:.3f}" for cell in cells]
            out.add_row(label, *values, *map(_apart, cells[1:]), f"{chance:.3f}")
    return out


def _apart(cell: Cell | None) -> str:
    if cell is None or cell.apart is None:
        return ""
    if cell.apart_interval is None:
        return f"{cell.apart:+.3f} ?"
    low, high = cell.apart_interval
    clear = f"{cell.apart:+.3f} ({low:+.3f} to {high:+.3f})"
    return clear if cell.is_clear else f"[{cell.apart:+.3f}]"
