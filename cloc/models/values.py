"""Patches in the joint space from the values of a tower's last attention, each patch's for itself
(MaskCLIP, arXiv 2112.01071): what the attention would mix, not mixed."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float, UInt8
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from cloc.errors import UserError
from cloc.models.positions.place import masked
from cloc.models.towers import Tower


def value_patches(tower: Tower, pixels: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b p d"]:
    """Of every patch, row by row, not unit length; at the tower's own `image_size`.

    In the last block a patch attends to itself alone: its value goes through the output projection,
    and then the rest of the block, the last norm and the joint projection see it as ever. A tower
    that pools by attention has its pooler as last attention, which then sees one patch alone.
    `UserError` for a tower without attention.
    """
    visual = tower.clip.visual
    trunk = getattr(visual, "trunk", None)
    if isinstance(visual, ModifiedResNet):
        return _through_resnet_pooler(visual.attnpool, tower.images(pixels).tokens)
    if getattr(trunk, "attn_pool", None) is not None:
        return _through_pooler(visual, tower.images(pixels).tokens)
    with _unmixed(_last_attention(visual)):
        tokens = tower.images(pixels).tokens
    return tower.dense(tokens)


def _last_attention(visual: Any) -> nn.Module:
    trunk = getattr(visual, "trunk", None)
    blocks = visual.transformer.resblocks if trunk is None else getattr(trunk, "blocks", None)
    last = blocks[-1] if isinstance(blocks, nn.ModuleList | nn.Sequential) and len(blocks) else None
    attention = getattr(last, "attn", None)
    takes = () if attention is None else inspect.signature(attention.forward).parameters
    if attention is None or "attn_mask" not in takes:
        raise UserError(
            f"{type(visual if trunk is None else trunk).__name__} does not end in a block of "
            "attention whose values are known; take roi or crop instead of roi_value"
        )
    found: nn.Module = attention
    return found


@contextmanager
def _unmixed(attention: nn.Module) -> Iterator[None]:
    """While it lasts every token of `attention` sees itself alone. A mask, so that all it does with
    the values of its heads (norms, gates, scales) stays the module's own."""

    def alone(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        tokens: Tensor = args[0] if args else kwargs["query"]
        mask = tokens.new_full((tokens.shape[1],) * 2, float("-inf")).fill_diagonal_(0)
        return args, {**kwargs, "attn_mask": masked(kwargs.get("attn_mask"), mask)}

    handle = attention.register_forward_pre_hook(alone, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _through_pooler(visual: Any, tokens: Float[Tensor, "b p w"]) -> Float[Tensor, "b p d"]:
    trunk = visual.trunk
    if getattr(trunk.attn_pool, "pos_embed", None) is not None:
        raise UserError(
            f"the pooler of {type(trunk).__name__} has positions of its own, so it cannot be asked "
            "of one patch; take crop instead of roi_value"
        )
    pooled = trunk.fc_norm(trunk.attn_pool(tokens.flatten(0, 1)[:, None]))
    projected: Tensor = visual.head(trunk.head(pooled)).unflatten(0, tokens.shape[:2])
    return projected


def _through_resnet_pooler(pooler: Any, tokens: Float[Tensor, "b p w"]) -> Float[Tensor, "b p d"]:
    values = F.linear(
        tokens + pooler.positional_embedding[1:].to(tokens.dtype),  # the first is of their mean
        pooler.v_proj.weight,
        pooler.v_proj.bias,
    )
    projected: Tensor = pooler.c_proj(values)
    return projected
