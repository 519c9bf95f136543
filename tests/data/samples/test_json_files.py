"""Files of a run that are cut, foreign or not text at all: one line that names the file."""

import pytest

from cloc.data.samples.json_files import read_mapping, read_rows
from cloc.errors import UserError

DAMAGED = {
    "cut.json": b'{"a": {"b": 1',
    "list.json": b"[1]",
    "deep.json": b"[" * 100_000,
    "latin.json": '{"a": "é"}'.encode("latin-1"),
    "empty.json": b"",
    "null.json": b"null",
    "cut.yaml": b"a: {b: [1",
    "text.yaml": b"words",
    "control.yaml": b"a: \0",
    "lacks.yaml": b"a: 1",
    "lacks.json": b'{"a": {"c": 1}}',
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_named_with_its_cure(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(DAMAGED[name])
    with pytest.raises(UserError, match=rf"{name} is damaged.*; try b") as found:
        read_mapping(path, cure="try b", needs=("a", "b"))
    assert "\n" not in str(found.value)


def test_a_whole_file_is_what_it_says(tmp_path):
    for name, text in {"a.json": '{"a": {"b": "é"}}', "a.yaml": "a:\n  b: é\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert read_mapping(tmp_path / name, needs=("a", "b")) == {"a": {"b": "é"}}
        assert read_mapping(tmp_path / name) == {"a": {"b": "é"}}


def test_a_row_that_a_kill_cut_off_is_left_out_and_another_bad_one_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    whole = b'{"step": 1, "a": 2.5}\n'
    for cut in (b"", b'{"step": 2, "a', b'{"step"', b"[1]", b"\xff\xfe"):
        path.write_bytes(whole + cut)
        assert read_rows(path) == [{"step": 1, "a": 2.5}]
    for bad in (b'{"step": 2, "a', b"[1]", b"{}", b"\xff", b"[" * 100_000):
        path.write_bytes(whole + bad + b"\n" + whole)
        with pytest.raises(UserError, match=r"metrics\.jsonl: line 2 is not"):
            read_rows(path)
