"""Which of timm's vision transformers are SigLIP's, in the words of transformers' configuration."""

import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import timm
import torch
from timm.layers import GELU, GELUTanh
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from cloc.errors import UserError

SHAPE = (
    "patch_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "layer_norm_eps",
)


def describe_trunk(name: str) -> dict[str, Any]:
    """The SiglipVisionConfig of timm's model `name`, image size included; `UserError` with the
    reason where SiglipVisionModel is another architecture."""
    return dict(_described(name))


def find_trunk(vision: Mapping[str, Any]) -> str:
    """The timm model of this SiglipVisionConfig: of the same shape, with the image size in its name
    where there is one, as open_clip's own configurations have it.

    Warns where timm has the shape with the other GELU alone; raises `UserError` for a shape it has
    not at all.
    """
    names = [
        name
        for name in timm.list_models(f"vit_*_patch{vision['patch_size']}_siglip_*")
        if "_siglip_gap_" not in name  # pooled by the mean
    ]
    size = f"_{vision['image_size']}"
    found = {}
    for name in sorted(names, key=lambda name: (not name.endswith(size), name)):
        described = describe_trunk(name)
        if all(described[key] == vision[key] for key in SHAPE):
            found[name] = described["hidden_act"]
            if name.endswith(size):
                break
    if not found:
        shape = ", ".join(f"{key}={vision[key]}" for key in SHAPE)
        raise UserError(
            f"timm has no SigLIP trunk of {shape}, and open_clip builds only those that it has: "
            f"{', '.join(timm.list_models('vit_*_siglip_*', exclude_filters='*_gap_*'))}"
        )
    first, *_ = found
    same = [name for name, act in found.items() if act == vision["hidden_act"]]
    chosen = same[0] if same and not first.endswith(size) else first
    if found[chosen] != vision["hidden_act"]:
        warnings.warn(
            f"the vision tower was trained with {vision['hidden_act']}, but timm's {chosen}, which "
            f"open_clip takes for it, has {found[chosen]}: embeddings differ a little from "
            "transformers' until it is trained further",
            stacklevel=2,
        )
    return chosen


@lru_cache(maxsize=32)  # a trunk takes a quarter of a second, even without its weights
def _described(name: str) -> Mapping[str, Any]:
    with torch.device("meta"):
        trunk: Any = timm.create_model(name, num_classes=0, global_pool="map")
    reason = _not_siglip(trunk)
    if reason:
        raise UserError(f"timm's {name} {reason}; SiglipVisionModel is a plain ViT without them")
    block = trunk.blocks[0]
    return {
        "image_size": trunk.patch_embed.img_size[0],
        "patch_size": trunk.patch_embed.patch_size[0],
        "hidden_size": trunk.embed_dim,
        "num_hidden_layers": len(trunk.blocks),
        "num_attention_heads": block.attn.num_heads,
        "intermediate_size": block.mlp.fc1.out_features,
        "hidden_act": _activation(block.mlp.act),
        "layer_norm_eps": trunk.norm.eps,
    }


def _not_siglip(trunk: Any) -> str:
    """What transformers' tower cannot do; weights of a kind it has no place for (layer scale,
    norms of queries) are found by their names, not here."""
    if type(trunk) is not VisionTransformer or type(trunk.blocks[0]) is not Block:
        return f"is not a plain ViT but a {type(trunk).__name__}"
    if trunk.num_prefix_tokens:
        return f"has {trunk.num_prefix_tokens} class or register tokens"
    if not isinstance(trunk.norm, nn.LayerNorm) or type(trunk.norm_pre) is not nn.Identity:
        return "has another norm"
    if _activation(trunk.blocks[0].mlp.act) is None:
        return f"has the activation {trunk.blocks[0].mlp.act}"
    return ""


def _activation(act: Any) -> str | None:
    if isinstance(act, GELUTanh):
        return "gelu_pytorch_tanh"
    exact = isinstance(act, GELU) or (isinstance(act, nn.GELU) and act.approximate == "none")
    return "gelu" if exact else None
