"""Lines of shuffled patches beside figures, and the index that never stands without them."""

import pytest
import torch

from cloc.eval.measured import Figures, Measured, cases_of
from cloc.eval.permutation import figures_of, with_lines

NAMES = ("a", "b", "c", "d")


def measured(**cases):
    found = {
        name: cases_of(torch.tensor(values, dtype=torch.float64), NAMES)
        for name, values in cases.items()
    }
    chance, controls = {"top1": 0.25}, {"top1_blind": 0.3}
    return Measured(Figures(cases=found, chance=chance, controls=controls, about={"x": 1}))


def test_every_figure_has_both_lines_and_what_it_loses():
    plain = measured(top1=[1, 1, 1, 0], miou=[0.2, 0.4, 0.6, 0.8])
    found = with_lines(
        plain,
        {
            "patches": measured(top1=[1, 0, 0, 0], miou=[0.1, 0.1, 0.1, 0.1]),
            "tokens": measured(top1=[1, 1, 1, 0], miou=[0.8] * 4),
        },
    )
    assert {k: v for k, v in found.items() if "patches" in k or "tokens" in k} == pytest.approx(
        {
            "top1_permuted_patches": 0.25,
            "top1_psi_patches": (0.75 - 0.25) / 0.75,
            "top1_permuted_tokens": 0.75,
            "top1_psi_tokens": 0.0,
            "miou_permuted_patches": 0.1,
            "miou_psi_patches": (0.5 - 0.1) / 0.5,
            "miou_permuted_tokens": 0.8,
            "miou_psi_tokens": (0.5 - 0.8) / 0.5,
        }
    )
    assert all(found[key] == value for key, value in plain.items())
    assert isinstance(found, Measured)
    assert list(found.figures.cases) == ["top1", "miou"]
    assert found.figures.about == {"x": 1}
    assert plain.keys() == {"top1", "miou", "top1_chance", "top1_blind"}  # it is not changed


def test_an_index_stands_beside_its_figure_and_line_or_not_at_all():
    found = with_lines(
        measured(top1=[0, 0, 0, 0], miou=[1.0] * 4), {"patches": measured(top1=[1, 0, 0, 0])}
    )
    assert found["top1_permuted_patches"] == 0.25  # of nothing nothing can be lost
    assert not [name for name in found if "psi" in name or "miou_" in name]
    found = with_lines(measured(top1=[1] * 4), {"tokens": measured(top1=[1] * 4)})
    [index] = [name for name in found if "_psi_" in name]
    metric, kind = index.split("_psi_")
    assert {metric, f"{metric}_permuted_{kind}"} <= set(found)


def test_a_benchmark_s_own_controls_and_lines_have_none():
    values = measured(top1=[1, 0, 0, 0], top1_permuted=[0, 0, 0, 0])
    assert figures_of(values) == ["top1"]
    plain = {"accuracy": 0.5, "accuracy_chance": 0.5, "accuracy_blind": 0.4, "count": 3.0}
    assert figures_of(plain) == ["accuracy"]
    found = with_lines(plain, {"patches": {"accuracy": 0.25}})
    assert found == {**plain, "accuracy_permuted_patches": 0.25, "accuracy_psi_patches": 0.5}
