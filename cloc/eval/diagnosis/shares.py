"""Attention shares of anybody's attention, seen as they are computed."""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

SOFTMAX = (torch.softmax, F.softmax, Tensor.softmax)
Found = Callable[[Float[Tensor, "b h q k"]], None]


class Shares(TorchFunctionMode):
    """While it lasts, `found` is given every matrix of shares [b, heads, queries, keys] that torch
    computes: of its fused attention, of its own `MultiheadAttention`, and of a softmax over such a
    matrix. What a tower answers stays the same but for rounding. FlexAttention is not seen.
    """

    def __init__(self, found: Found) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward:
            asked = kwargs.get("need_weights", True)
            given = {**kwargs, "need_weights": True, "average_attn_weights": False}
            mixed, shares = cast(tuple[Tensor, Tensor], func(*args, **given))
            self.found(shares)
            averaged = shares.mean(1) if kwargs.get("average_attn_weights", True) else shares
            return mixed, averaged if asked else None
        answer = func(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            self.found(_of_fused(*args, **kwargs))
        elif func in SOFTMAX and answer.ndim == 4:
            self.found(answer)
        return answer


def _of_fused(query: Tensor, key: Tensor, value: Tensor, *more: Any, **options: Any) -> Tensor:
    """What it mixes values by: its answer where each value has a channel of its own."""
    own = torch.eye(key.shape[-2], dtype=query.dtype, device=query.device)
    alone = own.expand(*key.shape[:-2], -1, -1)
    shares: Tensor = F.scaled_dot_product_attention(query, key, alone, *more, **options)
    return shares
