"""Intervals by drawing cases again: of one result, and of two on the same cases."""

import math

import pytest
import torch

from cloc.eval.intervals import difference, drawn_means, interval
from cloc.eval.measured import Cases, cases_of

NAMES = [f"case {i}" for i in range(8)]
RIGHT = torch.tensor([1, 1, 1, 0, 1, 0, 0, 1]) > 0
CLASSES = torch.tensor([0, 0, 0, 0, 0, 0, 2, 2])


def test_the_interval_is_that_of_a_binomial_share():
    draw = torch.Generator().manual_seed(1)
    right = torch.rand(400, generator=draw) < 0.7
    cases = cases_of(right, list(map(str, range(400))))
    low, high = interval(cases)
    share = cases.mean()
    half = 1.96 * math.sqrt(share * (1 - share) / 400)
    assert (low, high) == (
        pytest.approx(share - half, abs=0.01),
        pytest.approx(share + half, abs=0.01),
    )
    assert interval(cases) == (low, high)  # the same draws every time
    assert interval(cases_of(torch.ones(9), list("abcdefghi"))) == (1, 1)


def test_a_draw_is_a_mean_of_the_cases_it_took():
    cases = Cases(values=RIGHT.double(), names=NAMES, classes=CLASSES)
    rows = torch.randint(8, (50, 8), generator=torch.Generator().manual_seed(0))
    expected = torch.tensor([cases.mean(row) for row in rows], dtype=torch.float64)
    torch.testing.assert_close(drawn_means(cases, draws=50), expected)


def test_two_results_are_compared_case_by_case_and_by_name():
    """Both are hard for the same cases, so their difference is known better than either."""
    draw = torch.Generator().manual_seed(2)
    hard = torch.rand(500, generator=draw) < 0.5
    names = list(map(str, range(500)))
    ours = hard.clone()
    ours[:25] = True
    apart, (low, high), count = difference(
        cases_of(ours, names[::1]), cases_of(hard.flip(0), names[::-1])
    )
    assert count == 500
    assert apart == pytest.approx((ours.double() - hard.double()).mean().item())
    assert 0 < low < apart < high < 0.05
    alone = interval(cases_of(hard, names))
    assert high - low < (alone.high - alone.low) / 2
    fewer = cases_of(hard[:100], names[:100])
    assert difference(cases_of(ours, names), fewer)[2] == 100
    nobody = difference(cases_of(ours, names), cases_of(hard, [f"x{n}" for n in names]))
    assert nobody[2] == 0
    assert math.isnan(nobody[0])
