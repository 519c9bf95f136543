"""Vectors in a file: any shape, and what is no such file is named."""

import sqlite3

import pytest
import torch

from cloc.errors import UserError
from cloc.eval.features import Features


def test_a_file_of_something_else_is_named(tmp_path):
    (tmp_path / "features.sqlite").write_text("a table of another kind, long enough to be read")
    with pytest.raises(UserError, match=r"features.sqlite is no file of features .*; remove it"):
        Features(tmp_path / "features.sqlite")


def test_the_file_holds_float32_of_any_shape(tmp_path):
    features = Features(tmp_path / "f.sqlite")
    rows = [("a", b"1", torch.tensor(2.5).double()), ("a", b"2", torch.zeros(0, 4))]
    features.put(rows)
    features.close()
    again = Features(tmp_path / "f.sqlite")
    assert again.get("a", b"1").item() == 2.5
    assert again.get("a", b"2").shape == (0, 4)
    assert again.get("b", b"1") is None
    assert ("a", b"1") in again
    stored = sqlite3.connect(tmp_path / "f.sqlite").execute("select count(*) from rows")
    assert stored.fetchone() == (2,)
