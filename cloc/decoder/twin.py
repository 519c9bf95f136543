"""Twin experts (Twist & Scout, arXiv 2410.10491): beside a frozen feed-forward a second one that
learns to ground, and a number per sequence that says whose answer counts. What the model could do
before, it does to the last bit wherever that number is 1.

The paper's experts are mixtures of four feed-forwards, of which two answer a token; here each is
one feed-forward, dense."""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc.errors import UserError

KEY = "decoder.twin"


class Twin(nn.Module):
    """`old` is frozen; `new` begins as its copy, so that at first the share does not matter, or
    with random weights."""

    def __init__(self, old: nn.Module, *, begin: str = "copy") -> None:
        super().__init__()
        if begin not in ("copy", "random"):
            raise UserError(f"{KEY}.begin={begin}; choose copy or random")
        self.old, self.new = old.requires_grad_(False), copy.deepcopy(old).requires_grad_(True)
        if begin == "random":
            for weight in self.new.parameters():
                nn.init.normal_(weight, std=0.02)

    def forward(
        self, x: Float[Tensor, "b n w"], share: Float[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b n w"]:
        """`share` of the old one in each sequence, 0 to 1; None: all of it, and the new one is not
        asked. Where it is 1, the new one has no say, whatever it has become; it is asked with a
        gradient of 0, so that every process has one for all weights."""
        known: Tensor = self.old(x)
        if share is None:
            return known
        own = share[:, None, None].to(known.device, known.dtype)
        return torch.where(own == 1, known, own * known + (1 - own) * self.new(x))


def set_twins(language: Any, *, every: int = 2, begin: str = "copy") -> list[Twin]:
    """A twin in every `every`-th block of a `PrefixLM`, from the last one back; all else of it is
    frozen."""
    blocks = list(language.blocks)
    if not 1 <= every <= len(blocks):
        raise UserError(f"{KEY}.every={every}; give 1 to {len(blocks)}, the blocks there are")
    language.requires_grad_(False)
    found = []
    for block in blocks[::-1][::every]:
        block.feed_forward = Twin(block.feed_forward, begin=begin)
        found.append(block.feed_forward)
    return found[::-1]
