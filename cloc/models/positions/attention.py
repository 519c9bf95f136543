"""Attention that knows where its tokens stand, put into open_clip's own Vision Transformer.

The blocks stay open_clip's, with their weights under their names: what changes is what the class of
a module does at forward, so every path through the tower has the positions (pooled, un-pooled
tokens, patch dropout, recompute, graphs that are traced). What an encoding learns stands beside the
weights of its block, as `attn.relative...` and `attn.rotary...`.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip.transformer import ResidualAttentionBlock, Transformer
from torch import Tensor, nn

from cloc.models.patch_dropout import PatchDropout
from cloc.models.positions.place import Place
from cloc.models.positions.relative.relative import Relative
from cloc.models.positions.rotary.rotate import tables, turn


class GridConv(nn.Conv2d):
    """Patches from pixels; it remembers how many rows and columns they were."""

    rows, columns = 0, 0

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        self.rows, self.columns = found.shape[2:]
        return found


class PositionedTransformer(Transformer):
    """Says to every block where the tokens of this forward stand."""

    whose: tuple[Any]  # open_clip's visual, which this is a part of; a tuple: not registered in it

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        found: Tensor = super().forward(x, attn_mask=self.place(x))
        return found

    def forward_intermediates(self, x: Tensor, attn_mask: Tensor | None = None, **more: Any) -> Any:
        return super().forward_intermediates(x, attn_mask=self.place(x), **more)

    def place(self, x: Float[Tensor, "b n w"]) -> Place:
        """Of the tokens `x`, with the class token first; what all blocks share is computed here."""
        [visual] = self.whose
        dropout, patches = visual.patch_dropout, visual.conv1
        kept = dropout.kept if isinstance(dropout, PatchDropout) else None
        place = Place(patches.rows, patches.columns, 1, kept)
        first: Any = self.resblocks[0].attn
        if first.rotary is not None and not first.rotary.per_layer:
            place = place._replace(angles=first.rotary(place, x.device))
        if first.relative is not None:
            pairs = first.relative.buckets(place, x.device)
            place = place._replace(buckets=place.of_kept(pairs))
        return place


class PositionedBlock(ResidualAttentionBlock):
    """open_clip's block, which hands its attention a `Place` where it would hand a mask."""

    def attention(
        self, q_x: Tensor, k_x: Any = None, v_x: Any = None, attn_mask: Any = None
    ) -> Tensor:
        found: Tensor = self.attn(q_x, q_x, q_x, need_weights=False, attn_mask=attn_mask)[0]
        return found


class PositionedAttention(nn.MultiheadAttention):
    """Self-attention with the weights of torch's. `rotary` turns queries and keys of patches, by
    `gate` of the full angle where there is one; `relative` adds to logits and values."""

    rotary: Any
    relative: Relative | None
    gate: nn.Parameter | None  # [1]: FSDP spreads nothing that has no axis

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        name = f"{prefix}gate"
        if name in state and state[name].ndim == 0:  # of runs before it had an axis
            state[name] = state[name][None]
        super()._load_from_state_dict(state, prefix, *rest)

    def forward(
        self, query: Float[Tensor, "b n w"], *_: Any, attn_mask: Any = None, **__: Any
    ) -> tuple[Float[Tensor, "b n w"], None]:
        qkv = F.linear(query, self.in_proj_weight, self.in_proj_bias)
        q, k, v = (x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in qkv.chunk(3, -1))
        place: Place | None = attn_mask if isinstance(attn_mask, Place) else None
        mask = attn_mask if place is None else place.mask
        if place is not None and self.rotary is not None:
            q, k = self._turned(q, k, place)
        mixed = self._mixed(q, k, v, place, mask)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out, None

    def _turned(self, q: Tensor, k: Tensor, place: Place) -> list[Float[Tensor, "b h n d"]]:
        angles = self.rotary(place, q.device) if place.angles is None else place.angles
        angles = angles.to(torch.promote_types(angles.dtype, q.dtype))  # float32, or 64 as all else
        if self.gate is not None:
            angles = angles * self.gate
        angles = F.pad(angles, (0, 0, place.num_prefix, 0))  # what stands nowhere turns by nothing
        cos, sin = tables(angles)
        return [turn(x, cos, sin) for x in (q, k)]

    def _mixed(
        self, q: Tensor, k: Tensor, v: Tensor, place: Place | None, mask: Tensor | None
    ) -> Float[Tensor, "b h n d"]:
        bias = mask
        if place is not None and self.relative is not None:
            own = self.relative.bias(q, k, place)
            bias = own if mask is None else own + mask.to(own.dtype)
        if place is None or self.relative is None or not self.relative.on_values:
            given = (
                None
                if bias is None
                else bias.to(q.dtype).expand(q.shape[0], self.num_heads, -1, -1)
            )
            return F.scaled_dot_product_attention(q, k, v, attn_mask=given)
        assert bias is not None
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias
        shares = logits.softmax(-1)
        return shares @ v + self.relative.values(shares, place)


def install(
    visual: Any, *, relative: list[Relative] | None, rotary: list[Any] | None, gated: bool
) -> None:
    """Into open_clip's `visual`, in place: one encoding of each kind per block. With `gated` a
    rotation starts at no angle at all and is learned from there."""
    transformer = visual.transformer
    transformer.__class__ = PositionedTransformer
    visual.conv1.__class__ = GridConv
    transformer.whose = (visual,)
    for i, block in enumerate(transformer.resblocks):
        block.__class__ = PositionedBlock
        block.attn.__class__ = PositionedAttention
        block.attn.relative = None if relative is None else relative[i]
        block.attn.rotary = None if rotary is None else rotary[i]
        block.attn.gate = nn.Parameter(torch.zeros(1)) if gated and rotary is not None else None
