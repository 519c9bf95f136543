"""Checks of single values: what passes, what does not and under which reason."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloc.data.samples import validate
from cloc.data.samples.validate import (
    check_box,
    check_depth,
    check_meta,
    check_name,
    check_words,
    is_finite,
    is_phrase,
    is_small,
    shown,
    usable_negatives,
)
from cloc.errors import BadSample

WIDTH, HEIGHT = 64, 48
NOT_FINITE = "has a coordinate that is not a finite number; fix or drop the region where"


def test_a_box_is_clipped_to_the_image():
    assert check_box([-5, 3, 100, 1000], WIDTH, HEIGHT, "here") == (0, 3, WIDTH, HEIGHT)
    assert check_box((1, 2, 3, 4), WIDTH, HEIGHT, "here") == (1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize(
    ("box", "reason", "words"),
    [
        ([0, math.nan, 5, 5], "box_not_finite", rf"box \[0, nan, 5, 5\] {NOT_FINITE}"),
        ([0, 0, math.inf, 5], "box_not_finite", rf"box \[0, 0, inf, 5\] {NOT_FINITE}"),
        ([0, 0, 10**400, 5], "box_not_finite", NOT_FINITE),
        ([0, 0, 10**5000, 5], "box_not_finite", rf"box <list> {NOT_FINITE}"),
        ([0, 0, "5", 5], "box_not_finite", NOT_FINITE),
        ([0, 0, None, 5], "box_not_finite", NOT_FINITE),
        ([0, 0, True, 5], "box_not_finite", NOT_FINITE),
        ([5, 0, 0, 5], "box_reversed", r"box \[5, 0, 0, 5\] is reversed or empty \(x0 < x1, y0"),
        ([0, 5, 5, 0], "box_reversed", "reversed or empty"),
        ((3, 0, 3, 5), "box_reversed", r"box \[3, 0, 3, 5\] is reversed or empty"),
        ([64, 0, 70, 5], "box_outside", r"box \[64, 0, 70, 5\] lies outside the 64x48 image; fix"),
        ([0, -9, 5, -1], "box_outside", "lies outside"),
        ([0, 0, 0.99, 5], "box_small", r"is 0.99x5.00 px inside the 64x48 image, under 1 px"),
        ([63.5, 0, 80, 5], "box_small", r"is 0.50x5.00 px inside"),
        (
            [0.2, 0.3, 0.8, 0.9],
            "box_small",
            r"0.60x0.60 px .* \(boxes are in pixels\); fix or drop",
        ),
        ([0, 0, 5], "box_shape", r"box \[0, 0, 5\] is not \[x0, y0, x1, y1\]"),
        ("0 0 5 5", "box_shape", "box '0 0 5 5' is not"),
        (None, "box_shape", "box None is not"),
        ({"x": 0}, "box_shape", "box {'x': 0} is not"),
        (["x" * 10**6], "box_shape", r"box \['x{75}\.\.\. is not"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_box_has_a_reason_and_names_the_cure(box, reason, words):
    with pytest.raises(BadSample, match=rf"^a\.tar::k: region 1: .*{words}") as error:
        check_box(box, WIDTH, HEIGHT, "a.tar::k: region 1")
    assert error.value.reason == reason
    assert reason in validate.REASONS
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


near = st.floats(-3, WIDTH + 3) | st.integers(-300, 6700).map(lambda x: x / 100)


@given(near, near, st.floats(0.97, 1.03), st.floats(0.97, 1.03))
def test_a_box_passes_before_it_is_written_exactly_if_it_passes_after(x0, y0, wide, high):
    box = (x0, y0, x0 + wide, y0 + high)
    assert passes(box) == passes([round(x, 2) for x in box])


def passes(box):
    try:
        x0, y0, x1, y1 = check_box(box, WIDTH, WIDTH, "here")
    except BadSample:
        return False
    assert 0 <= x0 < x1 <= WIDTH
    assert min(x1 - x0, y1 - y0) >= 0.99 - 1e-9  # 0.01 is the grid of files
    return True


@pytest.mark.parametrize(
    "box", [(5.01, 5.01, 6.01, 6.01), (0.1, 0.2, 1.1, 1.2), (63.0, 47.0, 64.0, 48.0)]
)
def test_one_pixel_is_enough_wherever_it_lies(box):
    assert not is_small(box)  # 6.01 - 5.01 is less than 1 in floats
    assert is_small((*box[:2], box[2] - 0.01, box[3]))
    assert is_small((*box[:3], box[3] - 0.01))


@pytest.mark.parametrize("value", [0, -5, 1.5, 10**300, 1.7e308, -1.7e308])
def test_finite(value):
    assert is_finite(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, True, "1", None, [1]])
def test_not_finite(value):
    assert not is_finite(value)


@pytest.mark.parametrize("text", ["a", " a ", "a\tb\nc\r\v\f", "犬", "👩‍🚀", "\ufeffa", "x" * 1000])
def test_clean_text_passes_as_it_was_given(text):
    assert check_words(text, "here", reason="text", at_most=1000) == text
    assert is_phrase(text)


UNCLEAN = ["a\x00", "\x1b[0m", "a\x1fb", "a\x7f", "it\x92s", "a\x85b", "\ud800", "a\udfff"]


@pytest.mark.parametrize("text", [*UNCLEAN, "", " \n", "x" * 1001, None, 1, ["a"], b"a"])
def test_other_text_does_not(text):
    with pytest.raises(BadSample, match=r"^here: text .*; fix or drop") as error:
        check_words(text, "here", reason="caption", at_most=1000)
    assert error.value.reason == "caption"
    assert not is_phrase(text)


@pytest.mark.parametrize("text", UNCLEAN)
def test_a_name_is_as_clean_as_a_text(text):
    with pytest.raises(BadSample, match=r"^here: label .* holds") as error:
        check_name(text, "here", name="label")
    assert error.value.reason == "label"


def test_a_name_may_be_missing_null_or_empty():
    assert [check_name(x, "here", name="source") for x in (None, "", "owl")] == ["", "", "owl"]


def test_negatives_that_are_no_list_or_too_many_are_none():
    assert usable_negatives(None, "here") == ((), None)
    assert usable_negatives(["n"] * 100, "here") == (("n",) * 100, None)
    for value in ("no", 0, {}, ["n"] * 101):
        kept, error = usable_negatives(value, "here")
        assert (kept, error.reason) == ((), "negatives")


def test_what_is_shown_is_short_and_on_one_line():
    deep = []
    for _ in range(5000):
        deep = [deep]
    for value in ("x" * 10**6, "a\nb", 10**5000, deep, [10**5000], "\ud800", Lines()):
        text = shown(value)
        assert len(text) <= 80
        assert "\n" not in text
        text.encode()
    assert shown([1, "a"]) == "[1, 'a']"


class Lines:
    """As numpy's arrays, in an importer."""

    def __repr__(self):
        return "[1\n 2]"


@pytest.mark.parametrize("opens", ["[", '{"a": '])
def test_depth_is_capped(opens):
    closes = "]" if opens == "[" else "}"
    check_depth(json.loads(opens * 15 + "[]" + closes * 15), "here")
    with pytest.raises(BadSample, match=r"^here: the annotation is nested more than 16 deep"):
        check_depth(json.loads(opens * 16 + "[]" + closes * 16), "here")


def test_meta_is_free_but_can_be_written_again():
    meta = {"a": [1, "\x00", None, True, {"b": 1.5, "c": 10**400}]}
    assert check_meta(meta, "here") is meta
    assert check_meta(None, "here") == {}
    for bad in ([], 0, {"a": [math.nan]}, {"a": {"b": "\ud800"}}, {"\udfff": 1}, {"a": -math.inf}):
        with pytest.raises(BadSample, match=r"^here: meta .*; fix or drop") as error:
            check_meta(bad, "here")
        assert error.value.reason == "meta"


def test_meta_is_capped():
    check_meta({"a": [0] * 9998}, "here")  # with the key and the list 10,000
    with pytest.raises(BadSample, match="meta holds over 10,000 values"):
        check_meta({"a": [0] * 9999}, "here")


def test_every_reason_of_a_check_is_documented():
    raised = {"members", "annotation", "caption", "region", "text", "score", "label", "source"}
    boxes = {f"box_{name}" for name in ("shape", "not_finite", "reversed", "outside", "small")}
    assert validate.REASONS.keys() == raised | boxes | {"negatives", "meta"}
