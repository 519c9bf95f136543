"""The command beside its measures: the device it measures on."""

import pytest
import torch

from cloc.cli.config.compose import compose_config
from cloc.cli.tasks import evaluate as evaluate_task
from cloc.errors import UserError
from tests.helpers.shards import encode, flat, write_tar


def test_only_a_cpu_is_tuned(monkeypatch):
    """Without flash attention a GPU is slower and holds every attention matrix."""
    tuned = []
    monkeypatch.setattr(evaluate_task, "tune_for_cpu", lambda: tuned.append(True))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert evaluate_task.chosen_device("cuda:1") == torch.device("cuda", 1)
    assert evaluate_task.chosen_device("cuda") == torch.device("cuda")
    assert tuned == []
    assert evaluate_task.chosen_device("cpu") == torch.device("cpu")
    assert tuned == [True]


@pytest.mark.parametrize("name", ["gpu", "cuda"])
def test_a_device_that_is_not_there_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"device={name}.* give device=cpu"):
        evaluate_task.chosen_device(name)


@pytest.mark.parametrize("text", ["eval: [1", "eval: {splits: ", "steps: 1", "[1]"])
def test_a_damaged_configuration_of_the_run_is_named(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    cfg = compose_config("evaluate", [f"run={tmp_path}"])
    with pytest.raises(UserError, match=r"config\.yaml is damaged.*; restore it, or move it away"):
        evaluate_task.chosen_splits(cfg)


def test_captioned_tars_are_told_the_key_that_reads_them(tmp_path):
    write_tar(tmp_path / "a.tar", {"a.jpg": encode(flat(8, 8), "JPEG"), "a.txt": b"cat"})
    given = ["run=nowhere", f"splits.val={tmp_path}", f"index_folder={tmp_path}/indexes"]
    with pytest.raises(UserError, match="trained on with data=captions, and given to") as error:
        evaluate_task.chosen_splits(compose_config("evaluate", given))
    [word] = [word for word in str(error.value).split() if word.startswith("parse.path=")]
    [split] = evaluate_task.chosen_splits(compose_config("evaluate", [*given, word]))
    assert split.examples[0].captions == ("cat",)
    compose_config("prepare", ["pipeline=vesl", f"input={tmp_path}", "out=x", word])
    cfg = compose_config("train", ["experiment=smoke", "data=captions", f"data.train={tmp_path}"])
    assert cfg.data.parse.path == word.partition("=")[2]
