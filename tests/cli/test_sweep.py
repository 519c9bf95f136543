"""`train.py --multirun`: a run of each combination, each a process with a name of its own."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from cloc.cli.launch import sweep as launch_sweep
from cloc.cli.launch.peers import Peers
from cloc.cli.launch.sweep import combinations, distinct, sweep
from cloc.errors import UserError
from tests.helpers.commands import ROOT

STAND_IN = """
import json, pathlib, sys
words = sys.argv[1:]
path = pathlib.Path({said!r})
path.write_text((path.read_text() if path.exists() else "") + json.dumps(words) + "\\n")
sys.exit("seed=1" in words)
"""


@pytest.fixture
def said(tmp_path, monkeypatch):
    """Runs are a program that writes down what it was told; that of seed 1 fails."""
    path = tmp_path / "said"
    (tmp_path / "stand_in.py").write_text(STAND_IN.format(said=str(path)))
    monkeypatch.setattr(launch_sweep, "TRAIN", (sys.executable, str(tmp_path / "stand_in.py")))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a=1"], [["a=1"]]),
        (["a=1,2", "b=x", "c=3,4"], [[f"a={a}", "b=x", f"c={c}"] for a in (1, 2) for c in (3, 4)]),
        (["+a=range(0,3)"], [["+a=0"], ["+a=1"], ["+a=2"]]),
        (["a=[1,2]", "~b"], [["a=[1,2]", "~b"]]),
        (["a='x y',z"], [["a='x y'"], ["a=z"]]),
    ],
)
def test_every_combination_is_a_run_and_the_last_key_changes_fastest(given, expected):
    assert combinations(given) == expected


def test_names_that_are_alike_are_numbered():
    assert distinct(["x", "x"]) == ["x-1", "x-2"]
    assert distinct(["x-0", "x-1"]) == ["x-0", "x-1"]


def test_all_are_run_whatever_becomes_of_one(said, capsys):
    with pytest.raises(UserError, match="1 of 3 runs have failed: smoke-2"):
        sweep(["experiment=smoke", "seed=0,1,2"], Peers())
    assert said() == [["experiment=smoke", f"seed={i}", f"name=smoke-{i + 1}"] for i in range(3)]
    assert "run 2 of 3: experiment=smoke seed=1 name=smoke-2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "peers", "says"),
    [
        (["experiment=smoke", "sed=1,2"], Peers(), "sed is not a key of this command; did you"),
        (["experiment=smoke,smok"], Peers(), "smok"),
        (["seed=1,,"], Peers(), "seed=1,, is no KEY=VALUE and no KEY=A,B"),
        (["seed=1,2"], Peers("torchrun", 0, 2, 1), "under torchrun: start it as one process"),
    ],
)
def test_what_is_wrong_ends_the_sweep_before_its_first_run(said, tmp_path, given, peers, says):
    with pytest.raises(UserError, match=says):
        sweep(given, peers)
    assert not (tmp_path / "said").exists()


SIGNALLED = """
import sys
from cloc.cli.launch import sweep
from cloc.cli.launch.failures import ends_well
from cloc.cli.launch.peers import Peers
sweep.TRAIN = (sys.executable, {train!r})
with ends_well():
    sweep.sweep(["experiment=smoke", "seed=0,1"], Peers())
"""
SAVES = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path({said!r}).write_text("saved")
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
pathlib.Path({began!r}).touch()
time.sleep(60)
"""


@pytest.mark.rare
def test_a_signal_is_for_the_run_which_saves_and_no_further_one_begins(tmp_path):
    began, said = tmp_path / "began", tmp_path / "said"
    (tmp_path / "train.py").write_text(SAVES.format(said=str(said), began=str(began)))
    code = SIGNALLED.format(train=str(tmp_path / "train.py"))
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    until = time.monotonic() + 60
    while not began.exists() and time.monotonic() < until:
        time.sleep(0.05)
    began.unlink()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert said.read_text() == "saved"
    assert not began.exists()
