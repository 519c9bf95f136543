"""Other people's JSON: what is wrong is told in one line."""

import pytest

from cloc.errors import UserError
from cloc.eval.annotations import by_id, corners, read_json, read_list, rows_of


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.json"


def told(call, *arguments, **more):
    with pytest.raises(UserError) as found:
        call(*arguments, **more)
    assert "\n" not in str(found.value)
    return str(found.value)


def test_json(file):
    assert "a.json: no such file; set k to where it lies" in told(read_json, file, key="k")
    file.write_text('{"a": [1]}')
    assert read_json(file, key="k") == {"a": [1]}
    for text in ("", "{", "[" * 200_000, "\ud800".encode("utf-8", "surrogatepass")):
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        assert "this is no JSON" in told(read_json, file, key="k")


def test_lists(file):
    file.write_text("[1, 2]")
    assert read_list(file, key="k") == [1, 2]
    file.write_text("{}")
    assert "{} where a list is expected" in told(read_list, file, key="k")
    rows = file.with_suffix(".jsonl")
    assert "no such file; set k" in told(read_list, rows, key="k")
    rows.write_text('{"a": 1}\n\n{"a": 2}\n')
    assert read_list(rows, key="k") == [{"a": 1}, {"a": 2}]
    rows.write_text('{"a": 1}\n{"a"\n')
    assert "line 2 is no JSON" in told(read_list, rows, key="k")
    rows.write_bytes('{"a": "grün"}\n'.encode("latin-1"))
    assert "a.jsonl: not UTF-8 (" in told(read_list, rows, key="k")


def test_rows(file):
    kinds = {"id": int, "name": (str, list)}
    rows = [{"id": 1, "name": "a"}, {"id": 2, "name": ["b"]}]
    assert rows_of({"x": rows}, "x", kinds, file) == rows_of(rows, "x", kinds, file) == rows
    assert "no list 'y'" in told(rows_of, {"x": rows}, "y", kinds, file)
    assert "its list 'x' is empty" in told(rows_of, [], "x", kinds, file)
    wrong = {"id": True, "name": "a"}, {"id": 1, "name": 3}, {"name": "a"}, 7
    says = ["id=True, expected a whole number", "name=3, expected a text or a list", "id=None",
            "id=None"]  # fmt: skip
    for row, words in zip(wrong, says, strict=True):
        assert f"x[2] has {words}" in told(rows_of, [*rows, row], "x", kinds, file)


def test_numbers_that_stand_twice(file):
    assert by_id([{"id": 1}, {"id": 2}], file, "x") == {1: {"id": 1}, 2: {"id": 2}}
    assert "two of x have id=1" in told(by_id, [{"id": 1}, {"id": 1}], file, "x")


def test_boxes():
    assert corners([1, 2.5, 3, 4], "w").tolist() == [1, 2.5, 4, 6.5]
    for wrong in (None, [1, 2, 3], [1, 2, 3, 0], [1, 2, -3, 4], [1, "2", 3, 4], [1, 2, 3, 1e999]):
        assert "w: bbox is" in told(corners, wrong, "w")
