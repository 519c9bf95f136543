"""Pictures whose tokens are in another order when words see them: whether a model uses that order
(arXiv 2503.17349). How far answers get worse is told by accuracy, with and without."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from cloc.decoder.vlm.asked import Asked
from cloc.decoder.vlm.entering import DEEP, EMBEDDINGS, entering
from cloc.decoder.vlm.vlm import VLM

SEED = 0  # of the order in which a diagnosis shows them


@contextmanager
def permuted(vlm: VLM, asked: Asked, *, seed: int) -> Iterator[None]:
    """While it lasts, the tokens of each picture come in one random order, the same for pictures of
    as many tokens. Each place keeps its position; words stay where they are."""
    orders = [order_of(count, seed=seed) for count in asked.picture.sum(1).tolist()]

    def move(given: Mapping[str, Any]) -> Mapping[str, Any]:
        x = given[EMBEDDINGS].clone()
        x[asked.picture] = _moved(x[asked.picture], orders)
        deep = [_moved(features, orders) for features in given[DEEP]]
        return {EMBEDDINGS: x, **({DEEP: deep} if deep else {})}

    with entering(vlm, move):
        yield


def order_of(count: int, *, seed: int) -> Int[Tensor, " p"]:
    """The token that comes in each place."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def _moved(tokens: Tensor, orders: list[Tensor]) -> Tensor:
    """Of all pictures of a batch, one behind the other."""
    parts = tokens.split([len(order) for order in orders])
    return torch.cat([p[order.to(p.device)] for p, order in zip(parts, orders, strict=True)])
