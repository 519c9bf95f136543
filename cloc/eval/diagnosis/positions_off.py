"""A tower without its encodings of position: tables at zero, rotations at no angle, no bias."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cloc.models.positions.attention import PositionedAttention

# names of weights and buffers, of open_clip, timm and transformers
TABLES = ("pos_embed", "positional_embedding", "position_embedding.weight")
BIASES = ("relative_position_bias_table", "rel_pos.mlp.fc2.weight", "cpb_mlp.2.weight")
POOLERS = ("attn_pool.", "attnpool.", "head.")


@contextmanager
def without_positions(tower: nn.Module, num_patches: int) -> Iterator[list[str]]:
    """While it lasts no encoding of position of `tower` does anything, as far as they are known by
    name; gives what was turned off. Rows of a table that belong to no patch (class token,
    registers) stay: they are no positions. So do those of a pooler, which reads the tokens when
    they are made. Weights are afterwards what they were, to the bit."""
    ropes = [n for n, module in tower.named_modules() if callable(getattr(module, "get_embed", 0))]
    found = []
    with torch.no_grad(), ExitStack() as stack:
        for name, weight in [*tower.named_parameters(), *tower.named_buffers()]:
            other = name.startswith((*(f"{rope}." for rope in ropes), *POOLERS))
            if name.endswith((*TABLES, *BIASES)) and not other:
                num_prefix = weight.shape[-2] - num_patches if name.endswith(TABLES) else 0
                stack.enter_context(_zeroed(weight, max(num_prefix, 0)))
                found.append(name)
        for name, module in tower.named_modules():
            if isinstance(module, PositionedAttention):
                for part in ("rotary", "relative"):
                    if getattr(module, part) is not None:
                        stack.enter_context(_without(module, part))
                        found.append(f"{name}.{part}")
            elif name in ropes:  # timm's rotations
                stack.enter_context(_unturned(module))
                found.append(name)
        yield found


@contextmanager
def _zeroed(weight: Tensor, num_prefix: int) -> Iterator[None]:
    before = weight.detach().clone()
    weight[..., num_prefix:, :] = 0
    try:
        yield
    finally:
        weight.copy_(before)


@contextmanager
def _without(module: nn.Module, part: str) -> Iterator[None]:
    before = getattr(module, part)
    setattr(module, part, None)
    try:
        yield
    finally:
        setattr(module, part, before)


@contextmanager
def _unturned(rope: Any) -> Iterator[None]:
    """Sines of 0 and cosines of 1, in timm's layout: one after the other."""
    inner = rope.get_embed

    def unturned(*given: Any, **options: Any) -> Tensor:
        sines, cosines = inner(*given, **options).chunk(2, -1)
        return torch.cat([torch.zeros_like(sines), torch.ones_like(cosines)], -1)

    vars(rope)["get_embed"] = unturned
    try:
        yield
    finally:
        del vars(rope)["get_embed"]
