"""How loud content is beside position: the ratio of their norms, fixed or learned."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc.errors import UserError


class Balance(NamedTuple):
    """Content is to be `ratio` times as long as position; `learned`: it begins there."""

    ratio: float
    learned: bool = False

    def described(self) -> Any:
        """As a configuration has it."""
        return {"learned": self.ratio} if self.learned else self.ratio


def make_balance(options: Any, key: str) -> Balance | None:
    """Of a number, or of `{learned: 1.0}`; None of None. `UserError`, which names `key`, for
    anything else."""
    if options is None:
        return None
    learned = isinstance(options, Mapping) and set(options) == {"learned"}
    ratio = options["learned"] if learned else options
    is_number = isinstance(ratio, int | float) and not isinstance(ratio, bool)
    if not is_number or not 0 < ratio < math.inf:
        raise UserError(
            f"{key}={options}; give how many times as long as position content is to be, a number "
            "above 0, or {learned: 1.0}"
        )
    return Balance(float(ratio), learned)


class Loudness(nn.Module):
    """The ratio of a `Balance` as a number of the model, above 0 however it is trained."""

    def __init__(self, balance: Balance) -> None:
        super().__init__()
        start = torch.full((1,), math.log(balance.ratio))  # of one axis: FSDP spreads no scalar
        self.logarithm = nn.Parameter(start) if balance.learned else None
        self.fixed = balance.ratio

    def forward(self, level: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The norm that content is to have beside positions of norm `level`."""
        if self.logarithm is None:
            return self.fixed * level
        return self.logarithm.to(level.dtype).exp()[0] * level
