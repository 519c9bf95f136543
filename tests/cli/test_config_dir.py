"""`--config-dir DIR`: a person's own files beside ours, in every command and its processes."""

import os
import re

import pytest

from cloc.cli.config.compose import cli, command, compose_config
from cloc.cli.config.folders import OWN, config_file, folders, options, take_config_dir
from cloc.cli.launch.sweep import combinations
from cloc.errors import UserError

MINE = """# @package _global_
name: mine
steps: 7 # of my own
batch_size: 2
data: {train: somewhere}
"""


@pytest.fixture(autouse=True)
def _before(monkeypatch):
    monkeypatch.setenv(OWN, "")


@pytest.fixture(params=["configs", "it's (mine), [v2]"])
def folder(request, tmp_path):
    (tmp_path / request.param / "experiment").mkdir(parents=True)
    (tmp_path / request.param / "experiment/mine.yaml").write_text(MINE)
    return tmp_path / request.param


@pytest.mark.parametrize("joined", [True, False])
def test_its_files_can_be_chosen_and_ours_too(folder, joined):
    words = [f"--config-dir={folder}"] if joined else ["--config-dir", str(folder)]
    assert take_config_dir([*words, "experiment=mine"]) == ["experiment=mine"]
    cfg = compose_config("train", ["experiment=mine", "optimizer=muon"])
    assert (cfg.name, cfg.steps, cfg.optimizer._target_) == ("mine", 7, "timm.optim.Muon")
    assert {"mine", "demo"} <= set(options("experiment"))
    assert config_file("experiment/mine") == folder.resolve() / "experiment/mine.yaml"
    assert compose_config("train", ["experiment=demo"]).name == "demo"
    assert len(combinations(["experiment=mine", "seed=0,1"])) == 2


def test_a_process_that_a_command_starts_knows_it(folder):
    take_config_dir(["--config-dir", str(folder)])
    assert os.environ[OWN] == str(folder.resolve())
    assert folders()[1] == folder.resolve()


def test_help_and_messages_know_its_files(folder, capsys):
    words = ("--config-dir", str(folder), "experiment=mine", "--help")
    cli(lambda overrides: None, command("About.", "train"), words)
    out = capsys.readouterr().out
    assert re.search(r"^  steps=7 +of my own$", out, re.MULTILINE)
    assert ", mine, " in out
    with pytest.raises(UserError, match=r"experiment/min.*mine"):
        compose_config("train", ["experiment=min"])
    with pytest.raises(UserError, match="stepss is not a key of this command; did you mean steps"):
        compose_config("train", ["experiment=mine", "stepss=3"])


@pytest.mark.parametrize(
    "words", [["--config-dir"], ["--config-dir", "nowhere"], ["--config-dir="]]
)
def test_a_folder_that_is_none_is_one_line(words):
    with pytest.raises(UserError, match=r"--config-dir .*: no such folder"):
        take_config_dir(words)


def test_a_name_of_ours_is_refused(folder):
    (folder / "experiment/demo.yaml").write_text(MINE)
    with pytest.raises(UserError, match=r"experiment/demo\.yaml is one of ours too"):
        take_config_dir(["--config-dir", str(folder)])
    assert folders() == folders()[:1]
