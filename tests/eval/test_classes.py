"""Classes as vectors, and what is counted of them."""

import numpy as np
import pytest
import torch

from cloc.errors import UserError
from cloc.eval import classes as module
from cloc.eval.classes import (
    Answers,
    class_answers,
    class_cases,
    class_chance,
    class_vectors,
    confused,
    names_of_rows,
    same_classes,
)
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
    assert class_answers(both, vectors, torch.tensor([0, 1])).ranks.tolist() == [1, 1]


@pytest.mark.parametrize("chunk", [1, 2, 1024])
def test_answers_say_the_nearest_wrong_class_and_by_how_much_the_right_one_is_nearer(chunk):
    seen = torch.tensor([[0.8, 0.6, 0.0], [0.0, 0.1, 0.9], [0.2, 0.3, 0.4]], dtype=torch.float64)
    found = class_answers(seen, torch.eye(3), torch.tensor([0, 1, 1]), chunk=chunk)
    assert found.targets.tolist() == [0, 1, 1]
    assert found.ranks.tolist() == [0, 1, 1]
    assert found.nearest_wrong.tolist() == [1, 2, 2]
    assert found.margins.tolist() == pytest.approx([0.2, -0.8, -0.1])
    alone = class_answers(seen[:1], torch.eye(3)[:1], torch.tensor([0]))
    assert alone.margins.tolist() == [torch.inf]


def answers(targets, ranks, wrong):
    margins = torch.tensor([-1.0 if rank else 1.0 for rank in ranks], dtype=torch.float64)
    return Answers(torch.tensor(targets), torch.tensor(ranks), torch.tensor(wrong), margins)


def test_the_pairs_that_are_mixed_up_most_often():
    found = answers([0, 0, 1, 1, 1, 2], [1, 1, 0, 3, 1, 1], [1, 2, 0, 0, 0, 1])
    names = ["cat", "dog", "cow"]
    assert confused(found, names) == [
        ("dog", "cat", 2),
        ("cat", "dog", 1),
        ("cat", "cow", 1),
        ("cow", "dog", 1),
    ]
    assert confused(found, names, most=1) == [("dog", "cat", 2)]
    assert names_of_rows({"red": 0, "Red": 0, "blue": 1}) == ["red", "blue"]


def test_cases_and_their_chance():
    found = answers([0, 0, 0, 1, 1], [0, 0, 0, 4, 5], [1, 1, 1, 0, 2])
    names = list("abcde")
    cases = class_cases(found, names, of_rows=["cat", "dog", "cow"])
    means = {name: own.mean() for name, own in cases.items()}
    assert means == pytest.approx({"top1": 0.6, "macc": 0.5, "top5": 0.8, "macc_top5": 0.75})
    assert cases["top1"].nearest_wrong == ("dog", "dog", "dog", "cat", "cow")
    assert cases["top1"].margins.tolist() == [1, 1, 1, -1, -1]
    some = class_cases(found, names, chosen=found.targets == 1, suffix="_rare")
    assert some["top5_rare"].names == ["d", "e"]
    assert some["macc_rare"].mean() == 0
    assert some["top1_rare"].nearest_wrong == ()
    chance = class_chance(cases | some, 10)
    assert chance["macc"] == chance["top1_rare"] == 0.1
    assert chance["top5"] == chance["macc_top5_rare"] == 0.5
    assert class_chance(cases, 3)["top5"] == 1
