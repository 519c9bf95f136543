"""How likely a decoder finds the right answer, token by token: the loss of a language model."""

from jaxtyping import Bool, Float
from torch import Tensor

from cloc import dist
from cloc.interfaces import Embeddings, RegionBatch, Term
from cloc.numerics import full_precision, upcast


def next_token_loss(nll: Float[Tensor, "*n a"], valid: Bool[Tensor, "*n a"]) -> Float[Tensor, ""]:
    """Mean of `nll`, minus log probabilities in nats, over the valid tokens of all ranks; 0 where
    there are none. Every rank returns the same global value."""
    with full_precision(nll):
        summed = dist.total(upcast(nll).masked_fill(~valid, 0).sum())
        return summed / dist.total(valid.sum()).clamp(min=1)


class NextToken:
    """Hands `next_token_loss` its tensors."""

    needs: tuple[str, ...] = ("extra.answer_nll",)

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term:
        """No logs: the value says it all."""
        return Term(next_token_loss(out.extra["answer_nll"], batch.extra["answer_at"] >= 0), {})
