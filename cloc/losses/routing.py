"""How surely a decoder with twin experts tells requests for boxes from all other questions."""

import math

from jaxtyping import Bool, Float
from torch import Tensor

from cloc import dist
from cloc.interfaces import Embeddings, RegionBatch, Term
from cloc.numerics import full_precision, upcast


def routing_loss(
    nll: Float[Tensor, " *n"], valid: Bool[Tensor, " *n"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Binary cross-entropy: the mean of `nll`, minus log probabilities of the right route in nats,
    over the valid questions of all ranks; and the share of them whose right route is the likelier
    one. Both are 0 where there are none, and every rank returns the same global values."""
    with full_precision(nll):
        own = upcast(nll)
        count = dist.total(valid.sum()).clamp(min=1)
        right = dist.total(((own.detach() < math.log(2)) & valid).sum())
        return dist.total(own.masked_fill(~valid, 0).sum()) / count, right / count


class Routing:
    """Hands `routing_loss` its tensors; slots without a question are padding."""

    needs: tuple[str, ...] = ("extra.route_nll",)

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term:
        value, accuracy = routing_loss(out.extra["route_nll"], batch.extra["is_asked"])
        return Term(value, {"accuracy": accuracy})
