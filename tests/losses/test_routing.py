"""The loss of the router: binary cross-entropy over the questions there are."""

import math

import pytest
import torch
import torch.nn.functional as F

from cloc.losses.routing import Routing, routing_loss
from tests.helpers.rows import assert_same, graded, make_embeddings
from tests.losses.test_next_token import BATCH


def make_routes(seed=0):
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(8, generator=rng, dtype=torch.float64)
    valid = torch.rand(8, generator=rng) < 0.7
    return {"logits": logits, "truth": torch.rand(8, generator=rng) < 0.5, "valid": valid}


def loss(logits, truth, valid):
    nll = F.binary_cross_entropy_with_logits(logits, truth.to(logits), reduction="none")
    value, accuracy = routing_loss(nll, valid)
    return value, {"accuracy": accuracy}


def by_definition(logits, truth, valid):
    """One row at a time, and how many of them are on the right side."""
    rows = [
        (-(p if is_so else 1 - p).log(), float((p > 0.5) == is_so))
        for p, is_so, there in zip(logits.sigmoid(), truth, valid, strict=True)
        if there
    ]
    nll, right = zip(*rows, strict=True)
    return torch.stack(nll).mean(), {"accuracy": torch.tensor(right).mean()}


@pytest.mark.parametrize("seed", range(3))
def test_binary_cross_entropy_over_the_valid_rows_and_how_many_are_right(seed):
    routes = make_routes(seed)
    assert_same(graded(loss, routes), graded(by_definition, routes), atol=1e-7)
    value, grads, _ = graded(loss, routes)
    expected, expected_grads, _ = graded(by_definition, routes)
    assert_same((value, grads, {}), (expected, expected_grads, {}))


@pytest.mark.parametrize("padding", [1e30, torch.nan, -torch.inf])
def test_blind_to_padding(padding):
    routes = make_routes()
    nll, valid = torch.rand(8).double(), routes["valid"]
    plain = {"nll": nll, "valid": valid}
    expected = graded(routing_loss_alone, plain)
    plain["nll"] = nll.masked_fill(~valid, padding)
    assert_same(graded(routing_loss_alone, plain), expected, atol=0)


def routing_loss_alone(nll, valid):
    value, accuracy = routing_loss(nll, valid)
    return value, {"accuracy": accuracy}


def test_no_question_is_zero_with_zero_gradient():
    routes = make_routes()
    routes["valid"] = torch.zeros(8, dtype=torch.bool)
    value, grads, logs = graded(loss, routes)
    assert value == logs["accuracy"] == 0
    assert (grads["logits"] == 0).all()


def test_the_adapter_counts_rows_with_a_question():
    nll = torch.tensor([0.5, 1.5])
    out = make_embeddings(2, extra={"route_nll": nll})
    term = Routing()(out, BATCH._replace(extra={"is_asked": torch.tensor([True, True])}))
    assert term.value == 1
    assert term.logs == {"accuracy": 0.5}
    term = Routing()(out, BATCH._replace(extra={"is_asked": torch.tensor([True, False])}))
    assert term.value == 0.5
    assert term.logs == {"accuracy": 1}


def test_a_route_as_likely_as_the_other_is_not_right():
    nll = torch.tensor([math.log(2)])
    assert routing_loss(nll, torch.tensor([True]))[1] == 0
