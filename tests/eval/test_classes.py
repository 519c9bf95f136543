"""Classes as vectors, and what is counted of them."""

import numpy as np
import pytest
import torch

from cloc.errors import UserError
from cloc.eval import classes as module
from cloc.eval.classes import class_cases, class_chance, class_ranks, class_vectors, same_classes
from tests.helpers.oracle import LowerCase
from tests.helpers.region_mocks import Hashed, prototype

CLASSES = {"red": ["red", "a red"], "blue": ["blue"], "green": ["green", "a green", "of green"]}


@pytest.mark.parametrize("at_a_time", [1, 3, 4096])
def test_a_class_is_the_unit_mean_of_its_prompts(monkeypatch, at_a_time):
    monkeypatch.setattr(module, "TEXTS", at_a_time)
    vectors, rows = class_vectors(Hashed(), CLASSES, batch_size=2)
    assert rows.tolist() == [0, 1, 2]
    own = [prototype(Hashed(), prompts) for prompts in CLASSES.values()]
    np.testing.assert_allclose(vectors.numpy(), np.stack(own), atol=1e-6)


def test_prompts_are_held_a_part_at_a_time(monkeypatch):
    asked = []

    class Counts(Hashed):
        def texts(self, texts):
            asked.append(len(texts))
            return super().texts(texts)

    monkeypatch.setattr(module, "TEXTS", 3)
    class_vectors(Counts(), CLASSES, batch_size=100)
    assert asked == [3, 3]


def test_classes_that_are_read_alike_have_one_row():
    alike = {"red": ["red", "a red"], "Red": ["A Red", "RED"], "blue": ["blue"]}
    with pytest.warns(UserWarning, match=r"reads the classes red, Red alike"):
        numbers, prompts = same_classes(LowerCase(), alike)
    assert numbers.tolist() == [0, 0, 1]
    assert prompts == [["red", "a red"], ["blue"]]


def test_a_class_without_a_prompt_is_named():
    with pytest.raises(UserError, match=r"^class 'blue' has no prompt; give it at least one"):
        class_vectors(Hashed(), {"red": ["red"], "blue": []}, batch_size=1)


def test_a_tie_counts_against():
    vectors = torch.eye(3, dtype=torch.float64)
    both = torch.tensor([[0.6, 0.6, 0.0], [0.0, 0.1, 0.9]], dtype=torch.float64)
    assert class_ranks(both, vectors, torch.tensor([0, 1])).tolist() == [1, 1]


def test_cases_and_their_chance():
    ranks, targets = torch.tensor([0, 0, 0, 4, 5]), torch.tensor([0, 0, 0, 1, 1])
    names = list("abcde")
    cases = class_cases(ranks, targets, names)
    means = {name: own.mean() for name, own in cases.items()}
    assert means == pytest.approx({"top1": 0.6, "macc": 0.5, "top5": 0.8, "macc_top5": 0.75})
    some = class_cases(ranks, targets, names, chosen=targets == 1, suffix="_rare")
    assert some["top5_rare"].names == ["d", "e"]
    assert some["macc_rare"].mean() == 0
    chance = class_chance(cases | some, 10)
    assert chance["macc"] == chance["top1_rare"] == 0.1
    assert chance["top5"] == chance["macc_top5_rare"] == 0.5
    assert class_chance(cases, 3)["top5"] == 1
