"""Whose key a line is about, where the part that wrote it knows a path alone."""

import sys

import pytest

from cloc.cli.config.explain import one_line_of
from cloc.errors import UserError


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("my/set is empty", "data.train=my/set: my/set is empty"),
        ("nope does not exist", "images=nope: nope does not exist"),
        ("data.train=my/set: no tar", "data.train=my/set: no tar"),  # named already
        ("my/set2 is empty", "my/set2 is empty"),  # another folder
        ("5 shards for 6 readers", "5 shards for 6 readers"),
        ("set trainer.precision, cpu has no float16", "set trainer.precision, cpu has no float16"),
        ("a\x1b[1mb\nc", "a\\x1b[1mb\\nc"),
    ],
)
def test_what_was_typed_stands_in_front_of_a_path_that_it_names(monkeypatch, line, said):
    typed = ["data.train=my/set", "images=nope", "steps=5", "trainer=cpu", "out="]
    monkeypatch.setattr(sys, "argv", ["train.py", *typed])
    assert one_line_of(UserError(line)) == said


def test_a_file_that_cannot_be_read_is_named_and_a_fault_of_ours_is_no_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "out=x/y"])
    error = PermissionError(13, "Permission denied", "x/y")
    assert one_line_of(error) == "out=x/y: x/y: Permission denied"
    assert one_line_of(OSError("no file")) is None
    assert one_line_of(ValueError("ours")) is None
