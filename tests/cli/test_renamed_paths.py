"""Configurations of before: their dotted paths stand for what they stood for."""

import json
from importlib import import_module

import pytest
import yaml

from cloc.cli import prepare
from cloc.cli.config.compose import compose_config, frozen, make, plain
from cloc.cli.config.renamed_paths import MOVED, current, renamed
from cloc.cli.tasks.prepare_by_stages import _as_begun
from cloc.errors import UserError

PACKAGES = [old for old in MOVED if "." in old]


@pytest.mark.parametrize("old", PACKAGES)
def test_what_stood_there_stands_where_the_table_says(old):
    with pytest.raises(ImportError):
        import_module(old)
    import_module(MOVED[old])
    assert current(f"{old}.Thing") == f"{MOVED[old]}.Thing"


def test_only_the_names_of_things_are_renamed():
    old = {"a": [{"_target_": "cloc.eval.grounding.Grounding", "b": "cloc.eval.grounding.x"}]}
    new = "cloc.eval.benchmarks.grounding.Grounding"
    assert renamed(old) == {"a": [{"_target_": new, "b": "cloc.eval.grounding.x"}]}
    assert renamed({"path": "cloc.data.order.Shuffle"})["path"] == "cloc.data.stream.order.Shuffle"
    assert current("cloc.losses.grounding.Grounding") == "cloc.losses.grounding.Grounding"


def test_a_run_of_before_and_an_experiment_of_before_build_what_they_built():
    cfg = plain(compose_config("train", ["experiment=smoke"]))
    old = {new: module for module, new in MOVED.items()}

    def back(value):
        if isinstance(value, dict):
            return {key: back(inner) for key, inner in value.items()}
        module, _, name = value.rpartition(".") if isinstance(value, str) else ("", "", "")
        return f"{old[module]}.{name}" if module in old else value

    before = back(cfg)
    assert before != cfg
    assert plain(frozen(yaml.safe_dump(before))) == cfg
    given = ["experiment=smoke", "benchmarks.grounding._target_=cloc.eval.grounding.Grounding"]
    made = make(compose_config("train", given).benchmarks)
    assert type(made["grounding"]).__module__ == "cloc.eval.benchmarks.grounding"


def test_a_set_of_before_is_the_one_that_is_asked_for(tmp_path):
    given = ["import=scenes", f"out={tmp_path / 'set'}", "train=4", "val=0", "novel=0"]
    prepare.main(given)
    path = tmp_path / "set/prepare.json"
    path.write_text(path.read_text().replace("cloc.scenes.generate", "cloc.data.scenes"))
    prepare.main([*given, "if_exists=skip"])
    with pytest.raises(UserError, match="train=4 there, 5 asked"):
        prepare.main([*given, "if_exists=skip", "train=5"])


def test_a_job_of_before_goes_on_in_the_names_it_was_begun_with(tmp_path):
    now = {"stages": {"detect": {"_target_": f"{MOVED['_grounding_detector']}.GroundingDetector"}}}
    before = {"stages": {"detect": {"_target_": "_grounding_detector.GroundingDetector"}}}
    assert _as_begun(tmp_path, now) == now
    (tmp_path / "job.json").write_text(json.dumps({"settings": before}))
    assert _as_begun(tmp_path, now) == before
    other = {"stages": {}}
    assert _as_begun(tmp_path, other) == other


def test_a_job_of_before_goes_on_where_a_stage_is_new_and_left_out(tmp_path):
    before = {"stages": {"detect": {"a": 1}}, "order": ["phrases", "detect"]}
    now = {"stages": {"detect": {"a": 1}, "relations": {}}, "order": ["detect", "relations"]}
    (tmp_path / "job.json").write_text(json.dumps({"settings": before}))
    assert _as_begun(tmp_path, now) == before
    chosen = {**now, "stages": {**now["stages"], "relations": {"b": 2}}}
    assert _as_begun(tmp_path, chosen) == chosen
