"""Which vision towers can be run at other sizes than their own, and what it takes."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from timm.models.convnext import ConvNeXt
from timm.models.fastvit import FastVit
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor


class Table(NamedTuple):
    """A learned position table: `num_prefix` rows of its own, then those of a grid, row by row."""

    name: str  # under the vision tower
    num_prefix: int


def free_size(visual: Any) -> tuple[bool, Table | None]:
    """Whether open_clip's `visual` can be run at other sizes, and the table to be resized for it.

    Rotary, relative and windowed positions are fixed; so is every tower that is not known here.
    """
    trunk = getattr(visual, "trunk", None)
    if trunk is None:
        of_pooler = "attnpool." if isinstance(visual, ModifiedResNet) else ""
        return True, Table(f"{of_pooler}positional_embedding", 1)
    if isinstance(trunk, ConvNeXt | FastVit):
        return True, None
    pooler = getattr(trunk, "attn_pool", None)
    plain = type(trunk) is VisionTransformer and trunk.pos_embed is not None
    if not plain or getattr(pooler, "pos_embed", None) is not None:
        return False, None
    return True, Table("trunk.pos_embed", 0 if trunk.no_embed_class else trunk.num_prefix_tokens)


def resize_table(
    table: Float[Tensor, "*one n w"], num_prefix: int, grid: tuple[int, int], to: tuple[int, int]
) -> Float[Tensor, "*one m w"]:
    """Bicubic with antialias, as open_clip and timm do it on load; the same numbers at `grid`."""
    maps = table[..., num_prefix:, :].reshape(1, *grid, -1).permute(0, 3, 1, 2)
    maps = F.interpolate(maps, size=to, mode="bicubic", antialias=True)
    places = maps.flatten(2).transpose(1, 2).flatten(0, 3 - table.ndim)
    return torch.cat([table[..., :num_prefix, :], places], -2)
