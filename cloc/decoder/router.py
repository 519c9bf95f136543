"""Whether a question asks where something is, told from its own words: that decides in a decoder
with twin experts whose answer counts (Twist & Scout, arXiv 2410.10491)."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cloc.errors import UserError

KEY = "decoder.twin.route"
ROUTES = ("classifier", "flag", "soft")


class Router(nn.Module):
    """One decision for a whole question, linear in the mean of its words as the decoder's frozen
    table has them. It sees no picture, no answer and no name of a data set. Before it has learned,
    all questions are the old one's."""

    def __init__(self, width: int, *, soft: bool = False) -> None:
        super().__init__()
        self.soft, self.score = soft, nn.Linear(width, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(
        self, words: Float[Tensor, "b t w"], asked: Bool[Tensor, "b t"]
    ) -> Float[Tensor, " b"]:
        """Log odds that the old expert should answer; only words that are `asked` are read."""
        summed = words.masked_fill(~asked[..., None], 0).sum(1)
        mean = F.rms_norm(summed, summed.shape[-1:])  # of any length, so the count does not matter
        odds: Tensor = self.score(mean)
        return odds.squeeze(-1)

    def share(self, odds: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Of the old expert: 0 or 1, with `soft` its probability."""
        return odds.sigmoid() if self.soft else (odds >= 0).to(odds.dtype)


def router_of(route: str, width: int) -> Router | None:
    """`classifier` decides, `soft` mixes by its probability, with `flag` the caller says it."""
    if route not in ROUTES:
        raise UserError(f"{KEY}={route}; choose {', '.join(ROUTES)}")
    return None if route == "flag" else Router(width, soft=route == "soft")
