"""The loss of answers step by step: a mean for each step, blind to padding."""

import pytest
import torch

from cloc.errors import UserError
from cloc.losses.next_token import next_token_loss
from cloc.losses.stepwise import Stepwise, stepwise_loss
from tests.helpers.rows import assert_same, graded, make_embeddings
from tests.losses.test_next_token import BATCH

WEIGHTS = (0.5, 2.0, 1.0)


def make_answers(seed=0, steps=3):
    """Rows of whole steps in order, of many lengths, padded on the right."""
    rng = torch.Generator().manual_seed(seed)
    nll = torch.rand(6, 9, generator=rng, dtype=torch.float64) * 3
    lengths = torch.randint(0, 4, (6, steps), generator=rng)
    step = torch.full((6, 9), -1)
    for row, own in zip(step, lengths, strict=True):
        numbers = torch.arange(steps).repeat_interleave(own)[:9]
        row[: len(numbers)] = numbers
    return {"nll": nll, "step": step}


def loss(nll, step, weights=WEIGHTS):
    """With the CE of each step as logs."""
    value, terms = stepwise_loss(nll, step, weights)
    return value, {str(k): term for k, term in enumerate(terms)}


def by_definition(nll, step, weights=WEIGHTS):
    """One token at a time."""
    last = len(weights) - 1
    of = [[] for _ in weights]
    for row, numbers in zip(nll, step.tolist(), strict=True):
        for x, k in zip(row, numbers, strict=True):
            if k >= 0:
                of[min(k, last)].append(x)
    terms = [torch.stack(own).mean() if own else torch.zeros(()).double() for own in of]
    value = sum(weight * term for weight, term in zip(weights, terms, strict=True))
    return value, {str(k): term.detach() for k, term in enumerate(terms)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("steps", [1, 3, 4])
def test_the_sum_over_the_steps_of_weight_times_the_mean_over_their_tokens(seed, steps):
    """Steps behind the last weight belong to the last one; 0 for a step that none has."""
    answers = make_answers(seed, steps)
    assert_same(graded(loss, answers), graded(by_definition, answers))


def test_with_one_step_it_is_the_next_token_loss_to_the_last_bit():
    answers = make_answers(steps=1)
    plain = {"nll": answers["nll"], "valid": answers["step"] >= 0}
    expected = graded(next_token_loss, plain)
    for weights in ([1.0], [1.0, 3.0]):
        value, grads, _ = graded(loss, answers, weights=weights)
        assert value.equal(expected[0])
        assert grads["nll"].equal(expected[1]["nll"])


def test_with_weights_in_proportion_to_their_tokens_it_is_the_next_token_loss():
    answers = make_answers()
    counts = [(answers["step"] == k).sum().item() for k in range(3)]
    weights = [count / sum(counts) for count in counts]
    plain = {"nll": answers["nll"], "valid": answers["step"] >= 0}
    value, grads, _ = graded(loss, answers, weights=weights)
    assert_same((value, grads, {}), graded(next_token_loss, plain))
    assert value != graded(loss, answers)[0]


@pytest.mark.parametrize("padding", [1e30, torch.nan, torch.inf])
def test_blind_to_padding(padding):
    answers = make_answers()
    expected = graded(loss, answers)
    answers["nll"] = answers["nll"].masked_fill(answers["step"] < 0, padding)
    assert_same(graded(loss, answers), expected, atol=0)


def test_no_answer_is_zero_with_zero_gradient():
    answers = make_answers()
    answers["step"] = torch.full_like(answers["step"], -1)
    value, grads, _ = graded(loss, answers)
    assert value == 0
    assert (grads["nll"] == 0).all()


def test_half_types_are_summed_in_float32():
    nll = torch.full((512, 64), 1.001, dtype=torch.bfloat16)
    value, terms = stepwise_loss(nll, torch.zeros(512, 64, dtype=torch.long), [1.0])
    assert value.dtype == terms.dtype == torch.float32
    torch.testing.assert_close(value, nll[0, 0].float())


def test_the_adapter_reads_the_steps_and_logs_each():
    out = make_embeddings(2, extra={"answer_nll": torch.tensor([[1.0, 3.0, 8.0], [5.0, 7.0, 9.0]])})
    batch = BATCH._replace(extra={"answer_step": torch.tensor([[0, 0, 1], [0, -1, -1]])})
    term = Stepwise(weights=[1.0, 0.5])(out, batch)
    assert term.value == 3 + 0.5 * 8
    assert term.logs == {"step_1": 3, "step_2": 8}


@pytest.mark.parametrize("weights", [[], [0.0], [1.0, -1.0], [float("inf")], [float("nan")]])
def test_weights_that_cannot_be_are_one_line(weights):
    with pytest.raises(UserError, match=r"losses\.stepwise\.weights=\[.*give numbers of 0 or"):
        Stepwise(weights)
