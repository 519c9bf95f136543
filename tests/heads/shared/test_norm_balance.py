"""The ratio of content to position: what it may be, and that it is learned above 0."""

import math

import pytest
import torch

from cloc.errors import UserError
from cloc.heads.shared.norm_balance import Balance, Loudness, make_balance


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, None),
        (1, Balance(1.0)),
        (0.25, Balance(0.25)),
        ({"learned": 2}, Balance(2.0, True)),
        ({"learned": 0.5}, Balance(0.5, True)),
    ],
)
def test_a_number_or_a_mapping(given, found):
    assert make_balance(given, "key") == found
    if found is not None:
        assert make_balance(found.described(), "key") == found


WRONG = [0, -1, float("inf"), float("nan"), "auto", True, [1.0], {}]


@pytest.mark.parametrize(
    "given", [*WRONG, {"ratio": 1}, {"learned": 0}, {"learned": True}, {"learned": 1, "x": 2}]
)
def test_anything_else_is_one_line_with_the_key(given):
    with pytest.raises(
        UserError, match=r"^model\.x=.*; give how many times as long as .*learned: 1\.0\}$"
    ):
        make_balance(given, "model.x")


def test_it_begins_at_the_ratio_and_stays_above_0():
    level = torch.tensor(3.0)
    fixed, learned = Loudness(Balance(0.5)), Loudness(Balance(0.5, True))
    assert float(fixed(level)) == float(learned(level).detach()) == 1.5
    assert list(fixed.parameters()) == []
    [weight] = learned.parameters()
    learned(level).backward()
    assert float(weight.grad) == pytest.approx(1.5)
    with torch.no_grad():
        weight.fill_(-50)
    assert 0 < float(learned(level).detach()) < 1e-20
    assert math.isfinite(float(learned(level.double()).detach()))
