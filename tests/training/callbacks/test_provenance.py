"""What a run folder says of its origin."""

import json
import subprocess

import pytest
import torch

from cloc.training.callbacks import provenance
from cloc.training.callbacks.provenance import PACKAGES, Provenance, git_commit
from tests.helpers.fit import fit, make_module
from tests.helpers.models import make_model, model_batch


def test_it_is_written_before_the_first_step(tmp_path):
    run, seen = tmp_path / "run", []

    class Watch(Provenance):
        def on_train_batch_start(self, *args):
            seen.append(sorted(path.name for path in run.iterdir()))

    callback = Watch(run, seed=7, data={"digest": "ab"}, shards={})
    model = make_model()
    fit(make_module(model), [model_batch(model)], tmp_path, callbacks=[callback])
    assert seen == [["provenance.json"]]
    facts = json.loads((run / "provenance.json").read_text())
    assert facts["packages"].keys() == set(PACKAGES)
    assert facts["packages"]["torch"] == torch.__version__.split("+")[0]
    assert (facts["seed"], facts["devices"], facts["precision"]) == (7, 1, "32-true")
    assert facts["device"].endswith("CPU, 1 threads")
    assert facts["data"] == {"digest": "ab"}


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def code(tmp_path, monkeypatch):
    """The code stands in a folder of its own, the user in another."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code/provenance.py").write_text("1\n")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "code/provenance.py"))
    return tmp_path / "code"


def test_the_commit_is_that_of_the_code_and_says_whether_it_was_changed(code):
    git(code, "init", "-q")
    git(code, "add", ".")
    git(code, "commit", "-qm", "x")
    head = git(code, "rev-parse", "HEAD")
    assert git_commit() == head
    (code / "provenance.py").write_text("2\n")
    assert git_commit() == f"{head}+changes"


def test_outside_git_or_without_git_there_is_no_commit(code, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(code.parent))
    assert git_commit() == ""
    monkeypatch.setenv("PATH", "")
    assert git_commit() == ""
