"""Weights of an export on disk: their precision, and the region head beside somebody's layout."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cloc.errors import UserError
from cloc.models.positions.absolute import IMAGE_TABLES
from cloc.numerics import first_not_finite

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def round_weights(model: nn.Module, precision: str) -> None:
    """In place, float32 weights that `precision` holds exactly: what an export is compared with.

    `UserError` where a weight is above the largest number that `precision` has.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision={precision}; choose from {', '.join(PRECISIONS)}")
    dtype = PRECISIONS[precision]
    fixed = [b for name, b in model.named_buffers() if name.endswith(IMAGE_TABLES[0])]
    for value in (*model.state_dict().values(), *fixed):
        if value.is_floating_point():
            value.copy_(value.to(dtype))
    if bad := first_not_finite(model.state_dict()):
        raise UserError(
            f"precision={precision} ends at {torch.finfo(dtype).max:g}, which {bad} is above; "
            "choose bfloat16 or float32"
        )


def tower_state(tower: Any, library: str) -> dict[str, Tensor]:
    """The weights of an open_clip model that answers as `tower`: a table of positions that is fixed
    here is one of them there. `UserError` for encodings and balances that `library` has not."""
    if not tower.positions.only_table:
        own = [name for name in ("relative", "rotary") if getattr(tower.positions, name)]
        raise UserError(
            f"{library} has no {' and '.join(own)} positions in a CLIP, so its code would give "
            "other answers; choose format=onnx or format=torch_export, whose graphs have them"
        )
    if tower.norm_balance is not None:
        raise UserError(
            f"{library} has no code for norm_balance, which scales the patches of each picture by "
            "their own norms, as no weight can; choose format=onnx or format=torch_export"
        )
    state: dict[str, Tensor] = dict(tower.clip.state_dict())
    if tower.positions.kind == "none":
        state[IMAGE_TABLES[0]] = tower.clip.visual.positional_embedding
    return state


def save_weights(state: Mapping[str, Tensor], path: Path, *, precision: str = "float32") -> None:
    """Safetensors; floating point numbers in `precision`, others as they are."""
    dtype = PRECISIONS[precision]
    stored = {name: _stored(value, dtype) for name, value in state.items()}
    save_file(stored, path, metadata={"format": "pt"})  # transformers asks for it


def _stored(value: Tensor, dtype: torch.dtype) -> Tensor:
    value = value.detach().cpu().contiguous()
    return value.to(dtype) if value.is_floating_point() else value


def save_region_head(model: Any, folder: Path, *, precision: str = "float32") -> None:
    """Into `region_head/`: open_clip takes the first weight file it finds in the folder itself, and
    its strict load accepts no extra key. Nothing for a plain CLIP."""
    if model.region_head is None:
        return
    beside = folder / "region_head"
    beside.mkdir()
    save_weights(model.region_state(), beside / "region_head.safetensors", precision=precision)
    (beside / "cloc_config.json").write_text(json.dumps(model.description, indent=2) + "\n")
