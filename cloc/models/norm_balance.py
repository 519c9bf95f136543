"""Norm balance in the image tower: patch content as loud beside positions as it is told to be.

An adaptation, not the paper: Qi et al. (arXiv 2503.17349) normalise what a language model reads;
contrastive heads are unit vectors, so here it is what stands before the tower's first norm.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cloc.errors import UserError
from cloc.heads.shared.norm_balance import Balance, Loudness
from cloc.models.positions.attention import GridConv
from cloc.models.positions.encodings import Positions
from cloc.numerics import upcast

KEY = "model.tower.norm_balance"
LEARNED = "visual.conv1.loudness.logarithm"  # its name in the tower
SILENT = 1e-6  # content shorter than this is no content


class BalancedConv(GridConv):
    """Patches from pixels, those of a picture scaled together: their mean norm is the ratio times
    the mean norm of the positions that are added to them. Norms within a picture keep their
    proportions, and a picture does not depend on its batch. Patches of no length stay."""

    whose: tuple[Any]  # open_clip's visual, which this is a part of; a tuple: not registered in it
    loudness: Loudness

    def forward(self, x: Tensor) -> Float[Tensor, "b w r c"]:
        content = super().forward(x)
        [visual] = self.whose
        level = upcast(visual.positional_embedding[1:]).norm(dim=-1).mean()
        norms = upcast(content).norm(dim=1).mean((1, 2))
        scale = self.loudness(level) / norms.clamp(min=SILENT)
        found: Tensor = content * scale.to(content.dtype)[:, None, None, None]
        return found


def refuse_balance(
    balance: Balance | None, positions: Positions, vision: Mapping[str, Any]
) -> None:
    """`UserError` for a tower that cannot have it, before it is built. `vision` is open_clip's
    vision_cfg."""
    if balance is None:
        return
    if vision.get("timm_model_name") or isinstance(vision.get("layers"), list | tuple):
        raise UserError(
            f"{KEY} is for open_clip's own Vision Transformer, whose positions are added to its "
            "patches; leave it null"
        )
    if positions.kind == "none":
        raise UserError(
            f"{KEY} is beside positions that are added, but model.tower.positions.absolute=none; "
            "leave one of them out"
        )


def set_balance(visual: Any, balance: Balance | None) -> None:
    """Into open_clip's `visual`, in place, after its positions."""
    if balance is None:
        return
    patches = visual.conv1
    patches.__class__ = BalancedConv
    patches.whose = (visual,)
    with torch.device(patches.weight.device):
        patches.loudness = Loudness(balance)
