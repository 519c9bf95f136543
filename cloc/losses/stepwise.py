"""How likely a decoder finds the right answer, step by step: each step has a weight of its own."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cloc import dist
from cloc.errors import UserError
from cloc.interfaces import Embeddings, RegionBatch, Term
from cloc.numerics import full_precision, upcast


def stepwise_loss(
    nll: Float[Tensor, "*n a"], step: Int[Tensor, "*n a"], weights: Sequence[float]
) -> tuple[Float[Tensor, ""], Float[Tensor, " k"]]:
    """The sum over the steps of weight times CE, and the CE of each step, without gradient.

    CE of a step is the mean of `nll`, minus log probabilities in nats, over the step's tokens in
    the answers of all ranks: a long answer counts more in it than a short one, a step that few
    answers have as much as one that all have. 0 for a step that none has. Steps behind the last
    weight belong to the last one; -1 is padding. Every rank returns the same global value.
    """
    last = len(weights) - 1
    with full_precision(nll):
        own = upcast(nll)
        places = [step == k for k in range(last)] + [step >= last]
        summed = dist.total(torch.stack([own.masked_fill(~there, 0).sum() for there in places]))
        counts = dist.total(torch.stack([there.sum() for there in places]))
        terms = summed / counts.clamp(min=1)
        return (terms * terms.new_tensor(weights)).sum(), terms.detach()


class Stepwise:
    """Hands `stepwise_loss` its tensors, and logs the CE of each step. Twist & Scout (arXiv
    2410.10491) weighs all steps alike."""

    needs: tuple[str, ...] = ("extra.answer_nll",)

    def __init__(self, weights: Sequence[float] = (1.0, 1.0, 1.0)) -> None:
        if not any(weights) or not all(0 <= weight < math.inf for weight in weights):
            raise UserError(
                f"losses.stepwise.weights={list(weights)}; give numbers of 0 or more, one for each "
                "step, and not 0 alone"
            )
        self.weights = tuple(weights)

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term:
        value, terms = stepwise_loss(
            out.extra["answer_nll"], batch.extra["answer_step"], self.weights
        )
        return Term(value, {f"step_{k}": term for k, term in enumerate(terms, 1)})
