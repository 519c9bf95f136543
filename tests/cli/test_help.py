"""A command says what it is, and what is wrong with it, without torch; flags and comments."""

import os
import subprocess
import sys

import pytest
import yaml

from cloc.cli.config.compose import composed
from cloc.cli.config.folders import CONFIGS
from cloc.cli.config.help import head_of, help_text, keys, keys_of_option, split_flags
from cloc.errors import UserError
from tests.helpers.commands import ROOT

COMMANDS = {
    "train": ["experiment=demo"],
    "evaluate": ["model=x"],
    "export": [],
    "prepare": ["import=coco"],
    "bench": ["what=step", "experiment=demo"],
    "show_batch": ["experiment=coco_mini"],
    "check_shards": ["data/a=b"],
    "compare_runs": ["runs/demo"],
    "compare_regions": ["a", "b"],
}
# Of the one command alone, without a script of a checkout.
NEW = {
    **{"demo": [], "compare": ["a"], "doctor": ["experiment=demo"], "init": [], "completion": []},
    "diagnose": ["model=x", "out=y"],
}
HEAVY = ("torch", "lightning", "transformers", "open_clip", "matplotlib", "wandb")
# Runs several command lines in one process; a module of theirs that is imported stays imported.
LIGHT = """
import contextlib, io, json, runpy, sys
for words in json.loads(sys.argv.pop()):
    sys.argv = words
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            if words[0].endswith(".py"):
                runpy.run_path(words[0], run_name="__main__")
            else:
                runpy.run_module(words[0], run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as error:
            code = error.code
            if isinstance(code, str):
                err.write(code + "\\n")
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
print(json.dumps([name for name in HEAVY if name in sys.modules]))
"""


@pytest.fixture(scope="module")
def answers():
    """{(command, question): (exit code, stdout, stderr)}, and the heavy modules that came along."""
    import json

    asked = {
        (name, words[-1]): [str(ROOT / "scripts" / f"{name}.py"), *given, *words]
        for name, given in COMMANDS.items()
        for words in (["--help"], ["-h"], ["--cfg", "job"], ["misspelt=1"], ["--info"])
    }
    asked["train", "nothing"] = [str(ROOT / "scripts/train.py")]
    asked["train", "root"] = [str(ROOT / "scripts/train.py"), "experiment=coco_mini"]
    asked["region_demo", "--help"] = ["cloc", "region-demo", "--help"]
    asked["region_demo", "misspelt"] = ["cloc", "region-demo", "x.jpg", "x", "--modle=x"]
    asked |= {(name, "--help"): ["cloc", name, *words, "--help"] for name, words in NEW.items()}
    asked |= {(name, "wrong"): ["cloc", name, "--wrong", "--wrong"] for name in NEW}
    code = LIGHT.replace("HEAVY", repr(HEAVY))
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(list(asked.values()))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(asked) + 1, done.stderr
    return dict(zip(asked, lines, strict=False)), lines[-1]


def test_no_command_loads_torch_to_say_what_it_is_or_what_is_wrong(answers):
    assert answers[1] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_and_keys_and_the_config_is_yaml(answers, name):
    code, out, err = answers[0][name, "--help"]
    assert (code or 0, err) == (0, "")
    assert answers[0][name, "-h"][1] == out
    assert sum(line.startswith(f"python scripts/{name}.py") for line in out.splitlines()) >= 3
    assert "\nKeys:\n" in out
    code, out, err = answers[0][name, "job"]
    assert (code or 0, err) == (0, "")
    assert isinstance(yaml.safe_load(out), dict)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("wrong", ["misspelt=1", "--info"])
def test_what_is_wrong_is_one_line(answers, name, wrong):
    code, out, err = answers[0][name, wrong]
    assert code == (2 if name == "check_shards" else 1)
    assert out == ""
    assert err.startswith(f"error: {wrong.split('=')[0]} is ")
    assert err.count("\n") == 1


def test_the_demo_of_regions_has_a_help_too(answers):
    code, out, _ = answers[0]["region_demo", "--help"]
    assert (code, out.count("cloc-pretrain region-demo IMAGE")) == (0, 3)
    assert answers[0]["region_demo", "misspelt"][2].startswith("error: ")


@pytest.mark.parametrize("name", NEW)
def test_a_command_without_a_script_says_what_it_is_and_what_is_wrong(answers, name):
    code, out, err = answers[0][name, "--help"]
    assert (code or 0, err) == (0, "")
    assert f"cloc-pretrain {name}" in out
    code, out, err = answers[0][name, "wrong"]
    assert code
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: ")


def test_all_that_is_missing_is_named(answers):
    assert answers[0]["train", "nothing"][2].startswith(
        "error: name, steps and batch_size are not set; give name=... steps=... batch_size=..., "
        "or experiment=NAME of clip_paper_vit_b16,"
    )
    assert answers[0]["train", "root"][2] == "error: data.root is not set; give data.root=...\n"


def test_a_comment_stands_beside_its_key_whatever_file_it_is_in():
    given = ["pipeline=vesl", "stages/recaption=endpoint"]
    text = help_text("About.", "prepare", composed("prepare", given)[1], given)
    rows = {line.split("=")[0].strip(): line for line in text.splitlines() if "=" in line}
    assert rows["input"].endswith(
        "a folder, a glob or a list file of shards, as data.train= of a run"
    )
    assert rows["stages.recaption.endpoint.key_env"].endswith("null where none is needed")
    assert rows["out"].strip() == "out=???"
    assert "endpoint, none, transformers" in rows["stages/recaption"]
    assert "_target_" not in text


@pytest.mark.parametrize(
    ("words", "asked", "others"),
    [
        (["a=1", "-h"], {"help"}, ["a=1"]),
        (["--cfg=job", "a=-1"], {"cfg"}, ["a=-1"]),
        (["-c", "job", "-m"], {"cfg"}, ["-m"]),
    ],
)
def test_flags_stand_anywhere(words, asked, others):
    assert split_flags(words, sweeps=True) == (asked, others)


@pytest.mark.parametrize(
    "words", [["--cfg"], ["--cfg", "hydra"], ["--cfg=all"], ["-x"], ["--"], ["-m"]]
)
def test_a_flag_of_no_command_is_one_line(words):
    with pytest.raises(UserError, match="--cfg job"):
        split_flags(words, sweeps=False)


def test_a_key_without_a_comment_has_that_of_its_mapping():
    cfg = composed("train", [])[1]
    found = {key: comment for key, _, comment in keys("train", cfg, [])}
    assert found["rates.factors.image_tower"] == "of optimizer.lr"
    assert found["rates.factors.scales"] == "temperatures and bias of the logits"
    assert found["model.region_scale.initial"] == "1 / 0.07, as CLIP starts"
    assert found["seed"] == ""


def test_the_keys_of_a_file_are_those_it_begins_with_too():
    found = {key: (value, comment) for key, value, comment in keys_of_option("data", "mixed")}
    assert found["data.sources.train.weight"] == ("0.5", "share of all samples")
    assert found["data.captions"][0] == "???"
    assert keys_of_option("losses", "grounding_scenes")[-1][:2] == ("weights.grounding", "2.0")


def test_the_head_of_a_file_is_its_comment_before_the_commands():
    said = "A small ViT and text tower for 64-pixel scenes, without heads: plain CLIP."
    assert head_of(CONFIGS / "model/scenes_tower.yaml") == said
    assert head_of(CONFIGS / "import/grit.yaml").endswith("with the columns that its page names")
    assert head_of(CONFIGS / "evaluate.yaml") == ""
