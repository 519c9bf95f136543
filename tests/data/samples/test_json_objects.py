"""A key that stands twice in a JSON object."""

import json

import pytest

from cloc.data.samples.json_objects import without_repeats


def test_an_object_is_what_it_was():
    text = '{"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}], "": {}}'
    assert json.loads(text, object_pairs_hook=without_repeats) == json.loads(text)


@pytest.mark.parametrize("text", ['{"a": "x", "b": 0, "a": "y"}', '[{"c": {"a": "x", "a": "y"}}]'])
def test_a_key_twice_is_refused_with_both_values(text):
    with pytest.raises(
        ValueError, match=r"^the key 'a' occurs twice in one object, as 'x' and 'y': keep"
    ):
        json.loads(text, object_pairs_hook=without_repeats)
