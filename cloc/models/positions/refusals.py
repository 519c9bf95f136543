"""Towers that cannot have the encodings of position that they are asked for, told before one is
built."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from cloc.errors import UserError
from cloc.models.positions.encodings import KEY, RELATIVE, ROTARY, Positions

# what makes open_clip build blocks of another kind, with other names of their weights
CUSTOM = (
    *("block_type", "qk_norm", "scaled_cosine_attn"),
    *("scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"),
)


def refuse_positions(positions: Positions, vision: Mapping[str, Any]) -> None:
    """`UserError` for a tower that cannot have them. `vision` is open_clip's vision_cfg."""
    name = next((n for n in ("relative", "rotary") if getattr(positions, n) is not None), None)
    if name is None and positions.kind == "learned":
        return
    if vision.get("timm_model_name") or isinstance(vision.get("layers"), list | tuple):
        raise UserError(
            f"{KEY}.{name or 'absolute'} is for open_clip's own Vision Transformer; a timm "
            "trunk has what its name says (vit_*_rope_*, vit_relpos_*, eva02_*, vit_*_dinov3, "
            "vit_pe_*), a ResNet none: leave it out"
        )
    head, width = int(vision.get("head_width", 64)), int(vision.get("width", 768))
    if positions.kind == "sincos" and width % 4:
        raise UserError(f"{KEY}.absolute=sincos needs a width that is a multiple of 4, not {width}")
    custom = [key for key in CUSTOM if vision.get(key) and vision[key] != "default"]
    if name is not None and custom:
        raise UserError(
            f"{KEY}.{name} is for open_clip's plain blocks, but vision_cfg has {custom[0]}="
            f"{vision[custom[0]]}; leave one of them out"
        )
    if positions.rotary is not None:
        _refuse_width(positions.rotary["kind"], head)
    with torch.device("meta"):  # what they say to their options, without a weight
        for kinds, options in ((RELATIVE, positions.relative), (ROTARY, positions.rotary)):
            if options is not None:
                _made(kinds[options["kind"]], head, width // head, options)


def _refuse_width(kind: str, head: int) -> None:
    multiple = ROTARY[kind].multiple  # type: ignore[attr-defined]
    if head % multiple:
        raise UserError(
            f"{KEY}.rotary={kind} turns channels in groups of {multiple}, but a head has {head}; "
            f"set vision_cfg.head_width to a multiple of {multiple}"
        )


def _made(kind: Any, head: int, num_heads: int, options: Mapping[str, Any]) -> None:
    given = {name: value for name, value in options.items() if name != "kind"}
    if "grid" in inspect.signature(kind).parameters and not given.get("grid"):
        given["grid"] = [1, 1]  # the tower's own, which any can be
    kind(head, num_heads, **given)
