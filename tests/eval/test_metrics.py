"""Ranks, recalls and their chance lines against slow definitions."""

from itertools import combinations

import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.eval import metrics
from cloc.eval.metrics import (
    Count,
    count,
    hit_chance,
    match_ranks,
    means,
    rank_of_match,
    recalls,
    require_one_space,
    similarity,
)


def unit(n: int, d: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_parts_can_be_added():
    values = torch.tensor([1.0, 0.0, 0.5, 0.25])
    assert count(values[:1]) + count(values[1:]) == count(values) == Count(1.75, 4)


def test_what_was_not_measured_has_no_number():
    assert means({"a": Count(1.0, 4), "b": Count()}) == {"a": 0.25}


@pytest.mark.parametrize(
    ("scores", "match", "rank"),
    [
        ([0.9, 0.1, 0.5], [1, 0, 0], 0),
        ([0.1, 0.9, 0.5], [1, 0, 0], 2),
        ([0.1, 0.9, 0.5], [1, 0, 1], 1),  # the best of two right ones counts
        ([0.9, 0.9, 0.5], [1, 1, 0], 0),  # two right ones may tie with each other
    ],
)
def test_rank_is_the_number_of_better_wrong_candidates(scores, match, rank):
    match = torch.tensor([match]).bool()
    assert rank_of_match(torch.tensor([scores]), match).tolist() == [rank]


@pytest.mark.parametrize("gap", [0.0, 1e-7])
def test_ties_count_against(gap):
    scores = torch.tensor([[0.5 + gap, 0.5, 0.5, 0.1]], dtype=torch.float64)
    match = torch.tensor([[True, False, False, False]])
    assert rank_of_match(scores, match).tolist() == [2]


@pytest.mark.parametrize("broken", [0, 1])
def test_a_score_that_is_not_a_number_counts_against(broken):
    scores = torch.tensor([[0.9, 0.1]])
    scores[0, broken] = torch.nan
    assert rank_of_match(scores, torch.tensor([[True, False]])).tolist() == [1]


def test_a_row_without_a_right_candidate_has_the_rank_m():
    assert rank_of_match(torch.rand(1, 5), torch.zeros(1, 5).bool()).tolist() == [5]


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_match_ranks_equal_the_definition_in_any_chunk(chunk, monkeypatch):
    queries, candidates = unit(7, 8, 0), unit(5, 8, 1)
    pairs = torch.tensor([[i, i % 5] for i in range(7)] + [[2, 4], [6, 0]])
    scores = similarity(queries, candidates)
    expected = []
    for i in range(7):
        right = [int(c) for q, c in pairs if q == i]
        best = max(scores[i, c] for c in right)
        expected.append(sum(int(scores[i, c] >= best) for c in range(5) if c not in right))
    monkeypatch.setattr(metrics, "SCORES", chunk * len(candidates) + 1)  # so many rows
    assert match_ranks(queries, candidates, pairs=pairs).tolist() == expected
    assert len(set(expected)) > 2


def test_vectors_of_two_spaces_are_told_in_one_line():
    with pytest.raises(
        UserError, match=r"embeds in 8 and in 5 dimensions, so .* correct its embed"
    ):
        require_one_space(unit(2, 8, 0), unit(3, 5, 0))
    require_one_space(unit(2, 8, 0), unit(3, 8, 0))


def test_similarity_is_out_of_reach_of_autocast():
    a = unit(3, 64, 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(similarity(a, a), a.double() @ a.double().T, rtol=0, atol=0)


@pytest.mark.parametrize("k", [1, 2, 3, 9])
def test_hit_chance_by_enumeration(k):
    for matches in range(6):
        drawn = list(combinations(range(5), min(k, 5)))
        expected = sum(any(c < matches for c in hand) for hand in drawn) / len(drawn)
        found = hit_chance(torch.tensor([matches]), candidates=5, k=k)
        assert found.tolist() == [expected]  # to the last bit


def test_recalls_by_hand():
    candidates = torch.eye(3)
    queries = F.normalize(torch.tensor([[1.0, 0.5, 0], [0.5, 1, 0], [0, 0.5, 1]]), dim=1)
    pairs = torch.tensor([[0, 0], [1, 0], [2, 0], [2, 1]])  # ranks 0, 1, 1
    assert recalls(
        queries, candidates, pairs=pairs, name="x", ks=(1, 2), names="abc"
    ) == pytest.approx(
        {
            "x_r@1": 1 / 3,
            "x_r@1_chance": (1 / 3 + 1 / 3 + 2 / 3) / 3,
            "x_r@2": 1.0,
            "x_r@2_chance": (2 / 3 + 2 / 3 + 1) / 3,
        }
    )


def test_recalls_are_empty_where_there_is_no_query():
    none = torch.zeros(0, 2, dtype=torch.long)
    assert recalls(torch.zeros(0, 4), unit(3, 4, 0), pairs=none, name="x", ks=(1,), names=[]) == {}
