"""Which layers of an image tower the region head reads: the last one, or several side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from jaxtyping import Float
from torch import Tensor

from cloc.errors import UserError

KEY = "model.region_head.layers"
# modules of timm whose transformers show every layer in the layout of the last one
FLAT = ("timm.models.vision_transformer", "timm.models.eva")


def refuse_layers(layers: Any, vision: Mapping[str, Any], *, key: str = KEY) -> None:
    """`UserError` for layers that a tower has not, before it is built, as far as that is known.
    `vision` is open_clip's vision_cfg; `key` is that of the configuration they stand under."""
    right = isinstance(layers, Sequence) and not isinstance(layers, str) and len(layers) > 0
    if not right or any(type(n) is not int or n < 1 for n in layers):
        raise UserError(f"{key}={layers}; give numbers of blocks from 1 on, such as [3,6,9,12]")
    if list(layers) != sorted(set(layers)):
        raise UserError(f"{key}={list(layers)}: give each block once, in the order they run")
    trunk, depth = vision.get("timm_model_name"), vision.get("layers", 12)
    if (trunk and not _is_flat(str(trunk))) or (not trunk and not isinstance(depth, int)):
        raise UserError(
            f"{key}={list(layers)}: {trunk or 'a ResNet'} has no layers of one layout to read; "
            "leave it null, or choose a ViT or EVA02"
        )
    if not trunk:
        refuse_depth(layers, depth, key=key)


def refuse_depth(layers: Sequence[int], depth: int, *, key: str) -> None:
    """`UserError` where a block is asked for that is not there."""
    if max(layers) > depth:
        raise UserError(f"{key}={list(layers)}: this tower has {depth} blocks; give 1 to {depth}")


def indices_of(layers: Sequence[int], depth: int) -> Any:
    """As `forward_intermediates` of open_clip and timm takes them: blocks from 0 on, the last one
    too; of no layers how many of the last."""
    return sorted({*(layer - 1 for layer in layers), depth - 1}) if layers else 1


def beside(
    found: Sequence[Float[Tensor, "b p w"]], layers: Sequence[int]
) -> Float[Tensor, "b p v"] | None:
    """Those of `layers` side by side, channel after channel; None of no layers. `found` may end
    with the last block, which was not asked for."""
    return torch.cat(list(found[: len(layers)]), -1) if layers else None


def _is_flat(name: str) -> bool:
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        return True  # what it is not is told where it is built
    return timm.model_entrypoint(architecture).__module__ in FLAT
