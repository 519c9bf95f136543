"""Objects of a list or of lines, one at a time, however the file is cut into chunks."""

import json

import pytest

from cloc.errors import UserError
from data_prep.importers.shared import json_rows
from data_prep.importers.shared.json_rows import rows

ROWS = [{"a": "x, ]{" * 9, "b": [1, {"c": None}]}, {}, {"ü": "\u2028"}, {"a": 2}]


def read(tmp_path, text, name="x.json"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(rows(path, key="annotations"))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_is_read_element_by_element_at_every_cut(tmp_path, monkeypatch, chunk, indent):
    monkeypatch.setattr(json_rows, "CHUNK", chunk)
    text = f" \n{json.dumps(ROWS, indent=indent, ensure_ascii=False)}\n "
    assert read(tmp_path, text) == ROWS
    assert read(tmp_path, " [ ] ") == []


def test_lines_are_told_by_the_first_character_and_not_by_the_name(tmp_path):
    text = "\n\n".join(json.dumps(row) for row in ROWS)
    assert read(tmp_path, text) == read(tmp_path, "\ufeff" + text + "\n", "x.jsonl") == ROWS
    assert read(tmp_path, json.dumps(ROWS), "x.jsonl") == ROWS
    assert read(tmp_path, "") == []


def test_a_line_ends_at_a_newline_alone(tmp_path):
    text = '{"a":\r"x\u2028y\x85z"}\r\n{"a":\r2}'
    assert read(tmp_path, text) == [{"a": "x\u2028y\x85z"}, {"a": 2}]


def test_only_one_object_is_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(json_rows, "CHUNK", 10)
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"a": 1}] * 1000)[:-40] + "broken")
    found = rows(path, key="annotations")
    assert [next(found) for _ in range(900)] == [{"a": 1}] * 900  # before the rest is looked at


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"a": 1}, {"a"', "ends within the list, or element 2 is malformed"),
        ('[{"a": 1}, {a}]', "ends within the list, or element 2 is malformed"),
        ('[{"a": 1} {"a": 2}]', "a comma was expected after element 1"),
        ('[{"a": 1}] x', "something follows the list"),
        ("[[1]]", "element 1 is a list, expected an object"),
        ('{"a": 1}\n3\n', "line 2 is a int, expected an object"),
        ('{"a": 1}\n{"a": \n', "line 2: "),
        (b'{"a": "\xff"}', "not JSON in UTF-8"),
        ("[" * 100_000, "not JSON in UTF-8"),
    ],
)
def test_a_malformed_file_is_one_line_with_the_place(tmp_path, text, says):
    with pytest.raises(UserError, match=rf"x\.json: .*{says}") as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_an_object_without_an_end_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(json_rows, "CHUNK", 100)
    monkeypatch.setattr(json_rows, "MAX_ROW", 1000)
    with pytest.raises(UserError, match="element 1 is malformed or too long"):
        read(tmp_path, '[{"a": "' + "x" * 5000)
    with pytest.raises(UserError, match="line 1 has over 1,000 characters"):
        read(tmp_path, '{"a": "' + "x" * 5000)


def test_a_missing_file_names_the_key(tmp_path):
    with pytest.raises(UserError, match="no such file; give it with annotations=FILE"):
        list(rows(tmp_path / "none.json", key="annotations"))
