"""How far the token that is about to answer looks about the picture: logits of its attention to
patches, sharpened or smoothed (ScalingVis and AdaptVis, arXiv 2503.01773). No weights, nothing is
trained; a factor of 1 is the model as it was, bit for bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cloc.errors import UserError

KEY = "steer"


class Steer(NamedTuple):
    """Of one row of each sequence, the logits of some columns times `factor`: before the softmax,
    behind the division by the root of the width. Multiplied are signed numbers: above 1 makes the
    likely ones likelier and the others rarer, which is not more of the picture."""

    factor: Float[Tensor, " b"]
    rows: Int[Tensor, " b"]  # of the new tokens: the one that answers
    columns: Bool[Tensor, "b m"]  # patches, of all tokens that are seen
    layers: frozenset[int] | None = None  # counted from 0; None: all
    heads: frozenset[int] | None = None  # likewise

    def in_layer(self, number: int) -> bool:
        """Whether anything is to be changed there."""
        return (self.layers is None or number in self.layers) and bool((self.factor != 1).any())


def applied(
    steer: Steer,
    found: Float[Tensor, "b n h e"],
    query: Float[Tensor, "b h n d"],
    key: Float[Tensor, "b h m d"],
    value: Float[Tensor, "b h m e"],
    sees: Bool[Tensor, "#b one n m"],
) -> Float[Tensor, "b n h e"]:
    """`found`, which attention gives, with the rows of `steer` as they are with it, computed in
    float64: no factor of float32 makes a logit infinite there, or two of them alike. A row with a
    factor of 1 and a head that is not chosen stay bit for bit."""
    every = torch.arange(len(query), device=query.device)
    row, keys = query[every, :, steer.rows, None].double(), key.double()
    logits = (row * keys).sum(-1) / query.shape[-1] ** 0.5
    scaled = logits * steer.factor[:, None, None]
    logits = torch.where(steer.columns[:, None], scaled, logits)
    seen = sees.expand(len(query), -1, -1, -1)[every, :, steer.rows]
    shares = logits.masked_fill(~seen, -torch.inf).softmax(-1)
    told = (shares[..., None] * value.double()).sum(2)
    chosen = [steer.heads is None or i in steer.heads for i in range(query.shape[1])]
    changed = (steer.factor != 1)[:, None] & torch.tensor(chosen, device=query.device)
    before = found[every, steer.rows]
    found = found.clone()
    found[every, steer.rows] = torch.where(changed[..., None], told.to(found.dtype), before)
    return found


@dataclass(frozen=True, kw_only=True)
class AdaptVis:
    """The first pass asks without a factor how sure the model is of its first token: the largest
    of the softmax's probabilities. Below `threshold` the second one smooths with `unsure`, else it
    sharpens with `sure`. Equal factors are ScalingVis, and one pass. `UserError` for a factor below
    0 or a threshold outside of 0 to 1."""

    unsure: int | float
    sure: int | float
    threshold: int | float = 0.5
    layers: Sequence[int] | None = None
    heads: Sequence[int] | None = None

    def __post_init__(self) -> None:
        for name in ("unsure", "sure"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"{KEY}.{name}={getattr(self, name)}; give a factor of 0 or more")
        if not 0 <= self.threshold <= 1:
            raise UserError(f"{KEY}.threshold={self.threshold}; give a probability, 0 to 1")

    @property
    def asks_first(self) -> bool:
        """Whether the factor hangs on how sure the model is."""
        return self.unsure != self.sure

    def steer(
        self,
        confidence: Float[Tensor, " b"],
        rows: Int[Tensor, " b"],
        columns: Bool[Tensor, "b m"],
        *,
        layers: int,
        heads: int,
    ) -> Steer:
        """Of each sequence, in a model of so many layers and heads. `UserError` for numbers that
        are not there."""
        chosen = (_there("layers", self.layers, layers), _there("heads", self.heads, heads))
        return Steer(self.factors(confidence), rows, columns, *chosen)

    def factors(self, confidence: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Of each sequence, the largest number at most."""
        most = torch.finfo(confidence.dtype).max
        unsure, sure = (torch.full_like(confidence, min(x, most)) for x in (self.unsure, self.sure))
        return torch.where(confidence < self.threshold, unsure, sure)


def choose(
    confidence: Float[Tensor, " n"],
    right: Mapping[float, Bool[Tensor, " n"]],
    thresholds: Sequence[float],
) -> AdaptVis:
    """The factors and the threshold that answer most of the questions of a validation split, never
    of the one that is reported. `right` says of each candidate factor which answers are right with
    it. Of equally good ones the first, where the model as it is comes before all others.
    """
    if not right or not len(confidence):
        raise UserError(f"{KEY}: no factor or no question to choose by; give some of both")
    pairs = sorted(product(right, right), key=lambda pair: sum(abs(x - 1) for x in pair))
    best, found = -1, None
    for (unsure, sure), threshold in product(pairs, thresholds):
        given = torch.where(confidence < threshold, right[unsure], right[sure])
        if (count := int(given.sum())) > best:
            best, found = count, AdaptVis(unsure=unsure, sure=sure, threshold=threshold)
    if found is None:
        raise UserError(f"{KEY}: no threshold to choose from; give one or more")
    return found


def _there(name: str, chosen: Sequence[int] | None, count: int) -> frozenset[int] | None:
    if strange := [number for number in chosen or () if number not in range(count)]:
        raise UserError(f"{KEY}.{name}={strange[0]}; give 0 to {count - 1}, those of the model")
    return None if chosen is None else frozenset(chosen)
