"""What `compare` does: a table on the terminal, and a page where one is asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Column as Head
from rich.table import Table

from cloc.cli.pages.leaderboard import write_leaderboard
from cloc.errors import UserError
from cloc.eval.compare import Cell, Column, labels, read_result, table_of
from cloc.terminal import plain_console

NAME, FIGURE, DIFFERENCE = 40, 12, 32  # characters that a column of each kind asks for


def compare(folders: Sequence[str], out: str | None) -> None:
    """`UserError` for a folder that was not measured, or a page that cannot be written."""
    results = [read_result(Path(folder)) for folder in folders]
    if out is not None and not Path(out).parent.is_dir():
        raise UserError(f"out={out}: {Path(out).parent} is no folder; make it, or give another")
    table = table_of(results)
    names = short_names(folders)
    console = plain_console()
    console.print(printed(table, names, room=console.width))
    if len(results) > 1:
        print(f"[in brackets]: not clearly apart from {names[0]}; ?: cases were not kept")
    for more in sorted({column.more for column in table if column.more}):
        print(f"measured: {more}")
    if out is not None:
        write_leaderboard(Path(out), results, names, table)
        print(out)


def short_names(folders: Sequence[str]) -> list[str]:
    """The last part of each, or all of it where two would be alike."""
    last = [Path(folder).name for folder in folders]
    return last if len(set(last)) == len(last) else list(folders)


def printed(
    table: Mapping[Column, Sequence[Cell | None]], names: Sequence[str], *, room: int
) -> Table:
    """Figures with a chance line. Beside them the differences to the first result, in brackets
    where they may be none, with a question mark where the cases were not kept; where `room`, in
    characters, is too little for these, the marks stand at the figures themselves."""
    is_wide = room >= NAME + FIGURE * len(names) + DIFFERENCE * (len(names) - 1)
    apart = [f"{name} - {names[0]}" for name in names[1:]] if is_wide else []
    heads = ["figure", *names, *apart, "chance"]
    out = Table(*(Head(head, overflow="fold") for head in heads))
    for label, cells in zip(labels(table), table.values(), strict=True):
        chance = next((c.chance for c in cells if c is not None and c.chance is not None), None)
        if chance is not None:
            values = ["" if cell is None else f"{cell.value:.3f}" for cell in cells]
            others = [_marked(cell, is_wide) for cell in cells[1:]]
            row = [*values, *others] if is_wide else [values[0], *others]
            out.add_row(label, *row, f"{chance:.3f}")
    return out


def _marked(cell: Cell | None, is_wide: bool) -> str:
    """Of a difference, or of the figure that differs."""
    if cell is None or (is_wide and cell.apart is None):
        return ""
    shown = f"{cell.apart:+.3f}" if is_wide else f"{cell.value:.3f}"
    if cell.apart is None:
        return shown
    if cell.apart_interval is None:
        return f"{shown} ?"
    low, high = cell.apart_interval
    if not cell.is_clear:
        return f"[{shown}]"
    return f"{shown} ({low:+.3f} to {high:+.3f})" if is_wide else shown
