"""JSON and YAML in which a key stands twice: neither value wins."""

import pytest
import yaml

from data_prep.importers.shared.documents import Malformed, decoder, parse_json, parse_yaml


def test_json_of_text_or_bytes_and_what_is_kept_of_an_object():
    assert parse_json('{"a": [1, {"b": 2}]}') == {"a": [1, {"b": 2}]}
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert parse_json('[{"a": 1, "b": 2}]', keep=lambda row: row["b"]) == [2]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{", b"[" * 100_000, b"9" * 5000, b"{}}"])
def test_what_is_no_json_is_one_line(content):
    with pytest.raises(Malformed) as error:
        parse_json(content)
    assert "\n" not in str(error.value)


def test_a_key_of_json_twice_is_refused_with_both_values():
    text = '{"names": {"1": "cat", "2": "x", "1": "dog"}}'
    says = "the key '1' occurs twice in one object, as 'cat' and 'dog'"
    with pytest.raises(Malformed, match=says):
        parse_json(text)
    with pytest.raises(ValueError, match=says):
        decoder().raw_decode(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("names: {0: cat, 0: dog}", "the key '0' occurs twice in one mapping, as 'cat' and 'dog'"),
        ("a: 1\nb: 2\na: [1]", "the key 'a' occurs twice in one mapping, as '1' and a sequence"),
        ("{1: cat, 0x1: dog}", "the key '1 and 0x1' occurs twice"),
        ("{1: cat, yes: dog}", "the key '1 and yes' occurs twice"),
        ("a: [", "parsing a flow"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("{[a]: 1}", "unhashable"),
        ("[" * 2000, "recursion"),
    ],
)
def test_yaml_that_is_refused_is_one_line(text, says):
    with pytest.raises(Malformed, match=says) as error:
        parse_yaml(text)
    assert "\n" not in str(error.value)


def test_keys_that_come_along_may_be_there_once_more():
    text = "base: &base {a: 1, b: 2}\nnext: &next {<<: *base, a: 3}\nlast: {<<: [*next, *base]}"
    found = parse_yaml(text)
    assert found == yaml.safe_load(text)
    assert found["next"] == {"a": 3, "b": 2}
