"""Names with brackets and colons are printed as they are, by all that prints through rich."""

import os
import re
from pathlib import Path

from rich.progress import BarColumn
from rich.table import Table

from cloc.terminal import plain_console, progress, shows_bars, track

ROOT = Path(__file__).parents[1]
NAMES = ("set[v2]", "x[/b]", "[bold]a", ":star:")
THROUGH_RICH = re.compile(r"\b(Console|TextColumn|Progress)\(|rich\.progress import .*\btrack\b")


def test_names_are_printed_as_they_are_wherever_they_stand(capsys):
    console = plain_console(width=100)
    for name in NAMES:
        table = Table(name, title=name)
        table.add_row(name)
        console.print(table)
        console.print(f"{name}: open it")
    said = capsys.readouterr().out
    for name in NAMES:
        assert said.count(name) == 4


def test_a_description_is_printed_as_it_is(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    for name in NAMES:
        with progress(BarColumn(), hidden=False) as bar:
            bar.update(bar.add_task("checking", total=1), description=name)
        assert name in capsys.readouterr().out
        assert list(track([1, 2], name, total=2, hidden=False)) == [1, 2]
        assert name in capsys.readouterr().out


def test_nothing_prints_through_rich_by_another_way():
    sources = [p for d in ("cloc", "data_prep", "scripts") for p in (ROOT / d).rglob("*.py")]
    users = [p for p in sources if "from rich" in p.read_text() and p.name != "terminal.py"]
    assert users
    assert not [p.name for p in users if THROUGH_RICH.search(p.read_text())]


def test_bars_show_at_a_terminal_and_in_a_notebook_only(monkeypatch):
    assert not shows_bars()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout.isatty", lambda: True)
        assert shows_bars()
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert shows_bars()
    with open(os.devnull, "w") as file:  # what goes elsewhere is seen in no notebook
        assert not shows_bars(file)
