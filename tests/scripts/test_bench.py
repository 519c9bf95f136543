"""The benchmark command prints what it promises; no speed is asserted."""

import json

import bench
import prepare
import pytest

from cloc.errors import UserError


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """Overrides of a tiny experiment on its own shards."""
    folder = tmp_path_factory.mktemp("bench") / "scenes"
    prepare.main(["import=scenes", f"out={folder}", "train=32", "val=0", "novel=0"])
    return ["experiment=smoke", f"data.train={folder}/train", "data.num_workers=0", "batch_size=4"]


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_step_is_timed_for_both_twins_and_their_ratio_given(smoke, capsys):
    bench.main(["what=step", "repeat=2", *smoke])
    found = last_line(capsys)
    assert found.keys() >= {"what", "images_per_s", "cloc_over_clip", "batch_size", "precision"}
    assert found["images_per_s"].keys() == {"cloc", "clip"}
    for values in (*found["images_per_s"].values(), found["cloc_over_clip"]):
        assert 0 < values["q1"] <= values["median"] <= values["q3"]


def test_the_loader_is_timed_alone(smoke, capsys):
    bench.main(["what=loader", "repeat=2", *smoke])
    found = last_line(capsys)
    assert found["samples_per_s"]["median"] > 0
    assert found["workers"] == 0


def test_scenes_are_timed_before_and_after_encoding(capsys, monkeypatch):
    monkeypatch.setattr(bench.drawing, "__kwdefaults__", {"count": 5})
    bench.main(["what=scenes", "repeat=3"])
    speeds = last_line(capsys)["scenes_per_s"]
    assert speeds["composed"]["median"] > 0
    assert speeds["encoded"]["median"] > 0


@pytest.mark.parametrize("given", [["what=speed"], [], ["what=scenes", "experiment=smoke"]])
def test_an_unknown_question_is_one_line(given):
    with pytest.raises(UserError, match="choose step or loader with experiment=NAME, or scenes"):
        bench.main(given)
