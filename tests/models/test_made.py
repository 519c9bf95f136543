"""Parts from plain mappings: what a user wrote is checked before anything is built of it."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from cloc.errors import UserError
from cloc.models.made import made


def part(
    given,
    *,
    whole: int = 1,
    number: float = 1.0,
    truth: bool = False,
    text: str = "",
    several: Sequence[int] | None = None,
    mapping: Mapping[str, int] | None = None,
    either: int | Sequence[str] = 1,
    anything: Callable[[], int] | int | None = None,
):
    return given, whole, number, several


class Part:
    def __init__(self, given, *, whole: int = 1):
        self.whole = whole


def test_it_is_made_of_what_is_given_and_of_its_options():
    assert made(part, {"whole": 2, "several": [3]}, "key", 5) == (5, 2, 1.0, [3])
    assert made(Part, {"whole": 2}, "key", 5).whole == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("whole", 0), ("number", 2), ("number", 0.5), ("truth", True), ("text", "")),
        *(("several", None), ("several", []), ("several", (1, 2)), ("mapping", {"a": 1})),
        *(("either", 2), ("either", ["a"]), ("anything", "x"), ("anything", 1.5)),
    ],
)
def test_a_value_of_its_kind_is_taken(name, value):
    made(part, {name: value}, "key", 0)


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        *(("whole", value, "a whole number") for value in (1.5, True, "x", None, [1], {}, 1.0)),
        *(("number", value, "a number") for value in (float("nan"), "x", False, None, [1.0])),
        *(("truth", value, "true or false") for value in (1, 0, "true", None)),
        *(("text", value, "a text") for value in (1, None, ["x"], True)),
        *(("several", value, "a list or null") for value in (1, "12", {1: 1}, ["a"], [1.5])),
        *(("mapping", value, "a mapping or null") for value in (1, "x", [1])),
        *(("either", value, "a whole number or a list") for value in ("x", None, [1])),
    ],
)
@pytest.mark.parametrize("make", [part, Part])
def test_a_value_of_another_kind_is_one_line(make, name, value, cure):
    if make is Part and name != "whole":
        return
    with pytest.raises(UserError) as told:
        made(make, {name: value}, "model.part", 0)
    assert str(told.value) == f"model.part.{name}={value}; give {cure}"


def test_a_misspelt_option_is_one_line_with_those_there_are():
    with pytest.raises(UserError, match=r"key: got an unexpected .*'hole'; its options are whole"):
        made(part, {"hole": 1}, "key", 0)
