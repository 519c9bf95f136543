"""JSON read strictly: keys that stand twice, encodings, and caps."""

import json

import pytest

from cloc.data.samples.json_objects import parse_strictly, without_repeats
from cloc.errors import BadSample


def test_an_object_is_what_it_was():
    text = '{"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}], "": {}}'
    assert json.loads(text, object_pairs_hook=without_repeats) == json.loads(text)


@pytest.mark.parametrize("text", ['{"a": "x", "b": 0, "a": "y"}', '[{"c": {"a": "x", "a": "y"}}]'])
def test_a_key_twice_is_refused_with_both_values(text):
    with pytest.raises(
        ValueError, match=r"^the key 'a' occurs twice in one object, as 'x' and 'y': keep"
    ):
        json.loads(text, object_pairs_hook=without_repeats)


@pytest.mark.parametrize("text", ['{"a": "ä"}', '{"a": "ä"}'.encode(), '\ufeff{"a": "ä"}'.encode()])
def test_text_and_utf_8_are_read_alike(text):
    assert parse_strictly(text, "here") == {"a": "ä"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        ('{"a": 1}'.encode("utf-16"), "not JSON in UTF-8"),
        ("{", "not JSON in UTF-8"),
        ("[" * 40_000, "not JSON in UTF-8"),
        ("[" * 60_000, "commas and open brackets"),
        ('"' + "a" * (1 << 20) + '"', "bytes, at most"),
    ],
)
def test_what_is_none_is_told_with_its_place(text, says):
    with pytest.raises(BadSample, match=says) as error:
        parse_strictly(text, "here")
    assert (error.value.reason, str(error.value)[:6]) == ("annotation", "here: ")
