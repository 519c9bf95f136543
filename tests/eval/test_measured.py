"""Figures and the cases they are means of; intervals by drawing cases again."""

import math

import pytest
import torch

from cloc.errors import UserError
from cloc.eval.measured import Cases, Figures, Measured, cases_of, nothing

NAMES = [f"case {i}" for i in range(8)]
RIGHT = torch.tensor([1, 1, 1, 0, 1, 0, 0, 1]) > 0
CLASSES = torch.tensor([0, 0, 0, 0, 0, 0, 2, 2])


def test_a_mean_over_cases_and_a_mean_over_the_means_of_their_classes():
    assert cases_of(RIGHT, NAMES).mean() == 5 / 8
    by_class = Cases(values=RIGHT.double(), names=NAMES, classes=CLASSES)
    assert by_class.mean() == pytest.approx((4 / 6 + 1 / 2) / 2)
    assert by_class.mean(torch.tensor([0, 0, 6])) == pytest.approx((1 + 0) / 2)
    assert math.isnan(cases_of(torch.zeros(0), []).mean())


def test_every_case_has_a_name():
    with pytest.raises(UserError, match="7 names for 8 cases"):
        cases_of(RIGHT, NAMES[1:])


def test_metrics_with_their_chance_and_controls_and_none_without_a_case():
    figures = Figures(
        cases={"accuracy": cases_of(RIGHT, NAMES), "pair": cases_of(torch.zeros(0), [])},
        chance={"accuracy": 0.5, "pair": 0.25},
        controls={"accuracy_blind": 0.4},
    )
    found = Measured(figures)
    assert found == {"accuracy": 5 / 8, "accuracy_chance": 0.5, "accuracy_blind": 0.4}
    assert nothing() == {}
    other = Measured(Figures(cases={"top1": cases_of(RIGHT, NAMES)}, chance={"top1": 0.1}))
    both = found | other
    assert both == {**found, "top1": 5 / 8, "top1_chance": 0.1}
    assert set(both.figures.cases) == {"accuracy", "pair", "top1"}
    found |= other
    assert found == both
    assert set(found.figures.cases) == set(both.figures.cases)
