"""Configurations of before: their dotted paths stand for what they stood for."""

from importlib import import_module

import pytest
import yaml

from cloc.cli.config.compose import compose_config, frozen, make, plain
from cloc.cli.config.renamed_paths import MOVED, current, renamed


@pytest.mark.parametrize("old", MOVED)
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
