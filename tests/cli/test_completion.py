"""Completion offers what may stand there, and a shell really completes with it."""

import os
import shutil
import subprocess
import sys

import pytest

from cloc.cli.completion import SHELLS, candidates, main
from cloc.cli.main import COMMANDS
from cloc.errors import UserError
from tests.helpers.commands import ROOT


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("", {"train", "demo", "evaluate"}),
        ("tr", {"train"}),
        ("train exp", {"experiment="}),
        ("train experiment=finetune_l", {"experiment=finetune_lora"}),
        ("train optimizer.", {"optimizer.lr=", "optimizer.betas="}),
        ("train optimizer=muon optimizer.ns", {"optimizer.ns_steps="}),
        ("train mod", {"model=", "model."}),
        ("train model.to", {"model.tower."}),
        ("doctor experiment=dem", {"experiment=demo", "experiment=demo_clip"}),
        ("show-batch ou", {"out="}),
        ("prepare import=co", {"import=coco"}),
        ("evaluate --c", {"--cfg", "--config-dir"}),
    ],
)
def test_what_may_stand_there(line, some):
    found = candidates(line)
    assert some <= set(found)
    begun = line.split(" ")[-1]
    assert all(word.startswith(begun) for word in found)


@pytest.mark.parametrize("line", ["nonsense ", "nonsense x", "train x=", "compare-runs ", "demo "])
def test_where_nothing_is_known_the_shell_completes_files(line):
    assert candidates(line) == []


def test_every_command_can_be_completed_behind(capsys):
    for name in COMMANDS:
        main(["words", f"{name} --h"])
        assert capsys.readouterr().out == "--help\n"


def test_a_wrong_shell_names_the_shells():
    with pytest.raises(UserError, match=r"completion bash\|zsh\|fish"):
        main(["csh"])


def test_bash_completes(tmp_path):
    """With `cloc-pretrain` as it is installed, and = for the end of a word as bash has it."""
    (tmp_path / "cloc-pretrain").write_text(f'#!/bin/sh\nexec {sys.executable} -m cloc "$@"\n')
    (tmp_path / "cloc-pretrain").chmod(0o755)
    ask = """
COMP_LINE="cloc-pretrain train experiment=finetune_l"; COMP_POINT=${#COMP_LINE}
_cloc_pretrain; echo "${COMPREPLY[@]}"
COMP_LINE="cloc-pretrain show"; COMP_POINT=${#COMP_LINE}; _cloc_pretrain; echo "${COMPREPLY[@]}"
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = SHELLS["bash"].replace("compopt", ":") + ask
    done = subprocess.run(
        [shutil.which("bash"), "-c", script], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["finetune_lora", "show-batch"], done.stderr
