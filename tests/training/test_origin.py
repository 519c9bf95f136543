"""Which code ran: its commit, and whether it was changed."""

import subprocess

import pytest

from cloc.training import origin
from cloc.training.origin import git_commit


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def code(tmp_path, monkeypatch):
    """The code stands in a folder of its own, the user in another."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code/origin.py").write_text("1\n")
    monkeypatch.setattr(origin, "__file__", str(tmp_path / "code/origin.py"))
    return tmp_path / "code"


def test_the_commit_is_that_of_the_code_and_says_whether_it_was_changed(code):
    git(code, "init", "-q")
    git(code, "add", ".")
    git(code, "commit", "-qm", "x")
    head = git(code, "rev-parse", "HEAD")
    assert git_commit() == head
    (code / "origin.py").write_text("2\n")
    assert git_commit() == f"{head}+changes"


def test_outside_git_or_without_git_there_is_no_commit(code, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(code.parent))
    assert git_commit() == ""
    monkeypatch.setenv("PATH", "")
    assert git_commit() == ""
