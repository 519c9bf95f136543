"""`init DIR`: what it writes works as it stands, its tests and its training too."""

from contextlib import chdir

import pytest

from cloc.cli import init
from cloc.cli.config.folders import OWN
from cloc.errors import UserError
from tests.helpers.commands import succeed
from tests.helpers.warm import Forked

SCENES = ("import=scenes", "out=data/scenes", "train=32", "val=16", "novel=0")


@pytest.fixture
def project(tmp_path, capsys):
    folder = tmp_path / "My-Project"
    init.main([str(folder)])
    assert "README.md, configs/experiment/my_project.yaml" in capsys.readouterr().out
    return folder


def test_it_holds_an_experiment_a_loss_and_a_test(project):
    texts = {p.relative_to(project).as_posix(): p.read_text() for p in project.rglob("*.*")}
    assert set(texts) == {
        *("README.md", "conftest.py", "my_project/__init__.py", "my_project/centre.py"),
        *("configs/experiment/my_project.yaml", "configs/losses/my_project_centre.yaml"),
        "tests/test_centre.py",
    }
    assert not [name for name, text in texts.items() if "PACKAGE" in text]


def test_its_tests_pass(project):
    out, err = project / "out", project / "err"
    words = ["pytest", "-q", "-p", "no:cacheprovider", "tests"]
    process = Forked(words, module="pytest", cwd=project, out=out, err=err)
    assert process.wait(100) == 0, out.read_text() + err.read_text()
    assert "3 passed" in out.read_text()


@pytest.mark.slow
@pytest.mark.rare
def test_its_experiment_trains_with_its_loss(project, monkeypatch):
    """By the command that its README gives, shortened."""
    [given] = [
        line.split()[2:]
        for line in (project / "README.md").read_text().splitlines()
        if line.strip().startswith("cloc-pretrain train ")
    ]
    monkeypatch.delenv(OWN, raising=False)
    succeed("prepare", *SCENES, "samples_per_shard=16", cwd=project)
    short = ("steps=2", "batch_size=8", "eval.every=0", "data.num_workers=0", "log_every=1")
    succeed("train", *given, *short, cwd=project)
    assert '"train/centre"' in (project / "runs/my_project/metrics.jsonl").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "init DIR, with one new folder"),
        (["a", "b"], "init DIR, with one new folder"),
        (["--wrong"], "init DIR, with one new folder"),
        (["2024"], "no name for a package"),
        (["日本"], "no name for a package"),
        (["torch"], "there is a package torch already"),
        (["full"], "full is there already; name a new or empty folder"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(tmp_path, words, says):
    with chdir(tmp_path):
        (tmp_path / "full").mkdir()
        (tmp_path / "full/mine.txt").write_text("mine")
        with pytest.raises(UserError, match=says):
            init.main(words)
    assert [p.name for p in tmp_path.rglob("*")] == ["full", "mine.txt"]
