"""`cloc-pretrain`: one command that finds the others, in the words of the person who typed it."""

import subprocess
import sys
from importlib import import_module

import pytest

from cloc.cli.config.compose import SCRIPTS, as_typed
from cloc.cli.main import COMMANDS, GROUPS, main
from tests.helpers.commands import ROOT


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_its_help_lists_every_command_by_what_people_come_for(capsys, words):
    main(words)
    out = capsys.readouterr().out
    for group, commands in GROUPS.items():
        assert f"\n{group}:\n" in out
        for name, (_, about) in commands.items():
            assert f"  {name} " in out
            assert about in out


def test_every_script_of_a_checkout_is_a_command():
    files = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert files == set(SCRIPTS)
    assert files <= {name.replace("-", "_") for name in COMMANDS}
    for name in files:
        text = (ROOT / f"scripts/{name}.py").read_text()
        assert f"from {COMMANDS[name.replace('_', '-')][0]} import run\n" in text
        assert len(text.splitlines()) < 10


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_gets_the_words_behind_its_name(monkeypatch, name):
    given = []
    monkeypatch.setattr(import_module(COMMANDS[name][0]), "run", given.append)
    main([name, "a=1", "--help"])
    assert given == [["a=1", "--help"]]


@pytest.mark.parametrize(
    ("word", "said"),
    [("trian", "did you mean train?"), ("show_batc", "did you mean show-batch?"), ("x", "there")],
)
def test_what_is_no_command_is_one_line(capsys, word, said):
    with pytest.raises(SystemExit) as ended:
        main([word])
    assert ended.value.code == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: {word} is no command; {said}")
    assert err.count("\n") == 1


def test_as_a_module_it_is_the_same_and_needs_no_torch():
    code = (
        "import runpy, sys; sys.argv = ['cloc', 'train', '--help']\n"
        "try: runpy.run_module('cloc', run_name='__main__')\n"
        "except SystemExit as end: sys.exit(end.code or int('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Pretrains a model")
    assert "\ncloc-pretrain train experiment=demo\n" in done.stdout


def test_messages_name_the_command_as_it_was_typed(monkeypatch):
    text = "write it: cloc-pretrain check-shards x, or cloc-pretrain region-demo"
    assert as_typed(text) == text
    monkeypatch.setattr(sys, "argv", ["scripts/train.py"])
    script = "write it: python scripts/check_shards.py x, or cloc-pretrain region-demo"
    assert as_typed(text) == script
