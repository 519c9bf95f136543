"""Values of other people's files: what each spelling says, and what says nothing."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from cloc.errors import UserError
from data_prep.importers.shared.values import (
    flag_of,
    number_of,
    numbers_of,
    one_name,
    set_flag,
    set_whole,
    unsaid,
    whole_of,
)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (64, 64),
        (6.5, 6.5),
        ("64", 64),
        (" 6.5\n", 6.5),
        ("-.5e2", -50.0),
        (np.float32(6.5), 6.5),
        (np.int64(64), 64),
        (np.array(3), None),
        (Decimal("6.5"), 6.5),
        ("inf", float("inf")),
        (True, None),
        (np.bool_(True), None),
        ("1_000", None),  # float() takes it
        ("٣", None),  # int() takes it
        ("0x10", None),
        ("", None),
        ("six", None),
        (None, None),
        ([1], None),
        ("9" * 5000, float("inf")),  # no integer that Python reads
    ],
)
def test_a_number_is_what_its_digits_say(value, number):
    assert number_of(value) == number
    assert np.isnan(number_of("NaN"))


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (5, 5),
        (5.0, 5),
        ("5", 5),
        ("005", 5),
        ("5.0", 5),
        (np.int32(5), 5),
        (5.5, None),
        ("5.5", None),
        ("nan", None),
        ("inf", None),
        (False, None),
        (None, None),
        ("abc", None),
    ],
)
def test_a_whole_number_is_one_however_it_is_written(value, whole):
    assert whole_of(value) == whole
    assert type(whole_of(value)) is type(whole)


YES = [True, 1, 1.0, "1", "1.0", "true", "True", " YES", "y", "on", np.bool_(True), np.int8(1)]
NO = [False, 0, 0.0, "0", "0.0", "false", "False", "NO", "n", "off", np.bool_(False)]
NOTHING = [None, "", " ", "null", "None", "NaN", float("nan"), "Unspecified", np.float64("nan")]


def test_a_flag_is_what_it_says():
    assert [flag_of(value) for value in YES] == [True] * len(YES)
    assert [flag_of(value, otherwise=True) for value in NO] == [False] * len(NO)
    for otherwise in (True, False):
        assert {flag_of(value, otherwise=otherwise) for value in NOTHING} == {otherwise}
    assert [flag_of(value) for value in (2, -1, "2", "crowd", [], [0], {}, 0.5)] == [None] * 8
    assert all(map(unsaid, NOTHING))
    assert not any(map(unsaid, [*YES, *NO, [], {}]))


def test_numbers_are_those_of_a_list_a_tuple_or_an_array():
    assert numbers_of([1, "2", 3.5, np.int64(4)], 4) == [1, 2, 3.5, 4]
    assert numbers_of((1, 2)) == [1, 2]
    assert numbers_of(np.array([1.0, 2.0]), 2) == [1, 2]
    for wrong in ("1,2", {"0": 1}, [1, 2, 3], [1, None], [1, True], None, 5, np.array(5)):
        assert numbers_of(wrong, 2) is None


def test_fields_are_read_in_place_or_named_with_what_they_hold():
    row = {"id": "7", "crowd": "False"}
    set_whole(row, ["id"], "f: entry")
    set_flag(row, "crowd", "f: entry")
    set_flag(row, "thing", "f: entry", otherwise=True)
    assert row == {"id": 7, "crowd": False, "thing": True}
    with pytest.raises(UserError, match=r"^f: entry has id 'x7', expected a whole number; correct"):
        set_whole({"id": "x7"}, ["id"], "f: entry")
    with pytest.raises(
        UserError, match=r"^f: entry has crowd 'some', expected true or false, 1 or"
    ):
        set_flag({"crowd": "some"}, "crowd", "f: entry")


def test_a_second_name_is_refused_with_both():
    one_name({1: "cat"}, 1, "cat", "class", Path("f"))
    one_name({1: "cat"}, 2, "dog", "class", Path("f"))
    with pytest.raises(UserError, match=r"^f: class 1 is called 'cat' and 'dog'; remove one"):
        one_name({1: "cat"}, 1, "dog", "class", Path("f"))
