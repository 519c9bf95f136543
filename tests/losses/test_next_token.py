"""The loss of answers: their mean, blind to padding."""

import pytest
import torch

from cloc.losses.next_token import NextToken, next_token_loss
from tests.helpers.rows import assert_same, graded, make_batch, make_embeddings

BATCH = make_batch(
    valid=torch.zeros(2, 1, dtype=torch.bool),
    phrases=torch.zeros(1, 3, dtype=torch.long),
    phrase_index=torch.zeros(2, 1, dtype=torch.long),
    negative_index=torch.zeros(2, 1, 0, dtype=torch.long),
    boxes=torch.zeros(2, 1, 4),
)


def make_answers(seed=0):
    rng = torch.Generator().manual_seed(seed)
    nll = torch.rand(6, 4, generator=rng, dtype=torch.float64) * 3
    valid = torch.rand(6, 4, generator=rng) < 0.6
    return {"nll": nll, "valid": valid}


def by_definition(nll, valid):
    """One token at a time."""
    rows = zip(nll, valid, strict=True)
    own = [x for row, there in rows for x, ok in zip(row, there, strict=True) if ok]
    return torch.stack(own).mean()


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_over_the_valid_tokens(seed):
    answers = make_answers(seed)
    assert_same(graded(next_token_loss, answers), graded(by_definition, answers))


@pytest.mark.parametrize("padding", [1e30, torch.nan, torch.inf])
def test_blind_to_padding(padding):
    answers = make_answers()
    value, grads, _ = graded(next_token_loss, answers)
    answers["nll"] = answers["nll"].masked_fill(~answers["valid"], padding)
    other, other_grads, _ = graded(next_token_loss, answers)
    torch.testing.assert_close(other, value, rtol=0, atol=0)
    torch.testing.assert_close(other_grads["nll"], grads["nll"], rtol=0, atol=0)


def test_no_answer_is_zero_with_zero_gradient():
    answers = make_answers()
    answers["valid"] = torch.zeros_like(answers["valid"])
    value, grads, _ = graded(next_token_loss, answers)
    assert value == 0
    assert (grads["nll"] == 0).all()


def test_half_types_are_summed_in_float32():
    nll = torch.full((512, 64), 1.001, dtype=torch.bfloat16)
    value = next_token_loss(nll, torch.ones(512, 64, dtype=torch.bool))
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, nll[0, 0].float())


def test_the_adapter_counts_the_tokens_of_answers():
    nll = torch.tensor([[1.0, 3.0], [5.0, 7.0]])
    at = torch.tensor([[4, 5], [2, -1]])
    out = make_embeddings(2, extra={"answer_nll": nll})
    term = NextToken()(out, BATCH._replace(extra={"answer_at": at}))
    assert term.value == 3
    assert term.logs == {}
