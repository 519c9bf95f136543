"""Faults of an annotation file are told in one line that names it."""

import pytest

from cloc.errors import UserError
from cloc.eval.suite_files import (
    phrase_in,
    read_json,
    read_json_lines,
    text_of,
    texts_of,
    whole_number_of,
)


def test_what_is_there_is_read(tmp_path):
    (tmp_path / "a.json").write_text('[{"x": 1}]')
    assert read_json(tmp_path / "a.json", form=list) == [{"x": 1}]
    (tmp_path / "b.jsonl").write_text('{"x": 1}\n\n{"x": 2}\n')
    assert read_json_lines(tmp_path / "b.jsonl") == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize(
    ("text", "words"),
    [("[", "no JSON"), ("[]", "no case"), ("{}", "JSON dict where"), ("\udcff", "no JSON")],
)
def test_a_fault_of_a_file_is_one_line(tmp_path, text, words):
    place = tmp_path / "a.json"
    place.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=words) as told:
        read_json(place, form=list)
    assert str(place) in str(told.value)
    assert "\n" not in str(told.value)


def test_a_broken_line_is_named_by_its_number(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n{"x"\n')
    with pytest.raises(UserError, match="line 2 is no JSON"):
        read_json_lines(tmp_path / "a.jsonl")


def test_fields_are_what_they_should_be():
    row = {"a": " word ", "b": ["x", "y"], "c": 3.0}
    assert text_of(row, "a", "here") == "word"
    assert texts_of(row, "b", "here", count=2) == ("x", "y")
    assert whole_number_of(row, "c", "here") == 3


@pytest.mark.parametrize(
    ("read", "row", "words"),
    [
        (text_of, {"b": 1}, "here: no a \\(it holds b\\)"),
        (text_of, ["b"], "here: no a"),
        (text_of, {"a": 3}, "not a text"),
        (text_of, {"a": " "}, "not a text"),
        (whole_number_of, {"a": True}, "not a whole number"),
        (whole_number_of, {"a": 0.5}, "not a whole number"),
        (whole_number_of, {"a": float("nan")}, "not a whole number"),
        (lambda *x: texts_of(*x, count=2), {"a": ["x"]}, "not 2 texts"),
        (lambda *x: texts_of(*x, count=2), {"a": ["x", 3]}, "not 2 texts"),
    ],
)
def test_fields_that_are_not_are_told(read, row, words):
    with pytest.raises(UserError, match=words):
        read(row, "a", "here")


def test_the_first_phrase_that_stands_there_as_whole_words():
    assert phrase_in("A dog on the Left.", phrases=("right", "left")) == "left"
    assert phrase_in("A leftover", phrases=("left",)) is None
    assert phrase_in("far from it", phrases=("far from", "far")) == "far from"
