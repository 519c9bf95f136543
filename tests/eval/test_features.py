"""Vectors in a file: any shape, and what is no such file is named."""

import sqlite3
import weakref

import pytest
import torch

from cloc.errors import UserError
from cloc.eval import features as module
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


def test_there_is_no_file_before_there_is_an_answer(tmp_path):
    features = Features(tmp_path / "new/f.sqlite")
    assert features.get("a", b"1") is None
    assert list(tmp_path.iterdir()) == []
    features.put([("a", b"1", torch.ones(2))])
    assert Features(tmp_path / "new/f.sqlite").get("a", b"1").equal(torch.ones(2))


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("data = x'0102'", r"is damaged \(buffer size must be"),
        ("data = x'ffffffffffffffff'", r"is damaged \(a number is not finite\); remove it"),
        ("shape = 'a,b'", r"is damaged \(invalid literal"),
        ("shape = null", r"is damaged \('NoneType'"),
        ("data = 3", r"is damaged \(a bytes-like object is required"),
    ],
)
def test_a_damaged_row_is_named(tmp_path, column, says):
    Features(path := tmp_path / "f.sqlite").put([("a", b"1", torch.ones(2))])
    with sqlite3.connect(path) as file:
        file.execute(f"update rows set {column}")
    with pytest.raises(UserError, match=rf"f\.sqlite {says}"):
        Features(path).get("a", b"1")


def test_a_file_that_is_cut_or_of_another_table_is_named(tmp_path):
    path, keys = tmp_path / "f.sqlite", [bytes([i]) for i in range(9)]
    Features(path).put([("a", key, torch.ones(900)) for key in keys])
    raw = bytearray(path.read_bytes())
    raw[4096:12000] = bytes(12000 - 4096)
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r"f\.sqlite is no file of features .*; remove it"):
        list(map(Features(path).get, "a" * 9, keys))
    path.unlink()
    with sqlite3.connect(path) as file:
        file.execute("create table rows (a text)")
    with pytest.raises(UserError, match=r"is no file of features \(no such column: shape\)"):
        Features(path).get("a", b"1")


def test_a_file_that_another_writes_to_or_that_has_no_room_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WAIT_S", 0.05)
    features = Features(path := tmp_path / "f.sqlite")
    features.put([("a", b"1", torch.ones(2))])
    with sqlite3.connect(path) as other:
        other.execute("begin exclusive")
        with pytest.raises(UserError, match=r"by somebody else \(database is locked\); wait until"):
            Features(path)
    features._file.execute("pragma max_page_count = 3")
    with pytest.raises(UserError, match=r"cannot be written \(.*full\); make room, or give feat"):
        features.put([("a", b"2", torch.ones(99999))])


@pytest.mark.parametrize("kind", ["file", "device"])
def test_a_folder_in_which_nothing_can_be_written_is_told(tmp_path, kind):
    folder = tmp_path / "features"
    if kind == "file":
        folder.write_text("")
    else:
        folder.symlink_to("/proc")  # nobody, root included, makes a file there
    features = Features(folder / "f.sqlite")
    with pytest.raises(UserError, match=r"cannot be written \(.*; give another out=, or fe"):
        features.put([("a", b"1", torch.ones(2))])


def test_what_is_in_a_file_is_not_held_in_memory(tmp_path):
    held, kept = Features(), Features(tmp_path / "f.sqlite")
    for features in (held, kept):
        features.put([("a", b"1", torch.ones(3))])
        assert features.get("a", b"1").equal(torch.ones(3))
        assert ("a", b"1") in features
        assert ("a", b"2") not in features
    assert held.get("a", b"1") is held.get("a", b"1")
    answer = weakref.ref(kept.get("a", b"1"))
    assert answer() is None


def test_answers_that_are_held_lie_side_by_side_and_keep_nothing_of_their_batch(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 8)
    features, batch = Features(), torch.arange(12.0).view(3, 4)
    rows = [("a", bytes([i]), row) for i, row in enumerate(batch)]
    features.put([*rows, ("a", b"more", torch.ones(3, 5)), ("a", b"none", torch.zeros(0, 4))])
    given, batch[:] = batch.clone(), -1
    found = [features.get("a", bytes([i])) for i in range(3)]
    assert torch.stack(found).equal(given)
    first, second, third = (x.untyped_storage().data_ptr() for x in found)
    assert first == second != third
    assert features.get("a", b"more").equal(torch.ones(3, 5))  # larger than a block
    assert features.get("a", b"none").shape == (0, 4)


def test_texts_are_those_of_another_where_there_are_no_own(tmp_path):
    first, own = Features(), Features(tmp_path / "f.sqlite")
    own.texts = first
    first.put([("text", b"1", torch.zeros(2)), ("image", b"1", torch.zeros(2))])
    own.put([("text", b"2", torch.ones(2))])
    assert own.get("text", b"1").equal(torch.zeros(2))
    assert own.get("text", b"2").equal(torch.ones(2))
    found = [
        key in own for key in [("text", b"1"), ("text", b"2"), ("text", b"3"), ("image", b"1")]
    ]
    assert found == [True, True, False, False]
    assert own.get("image", b"1") is None
