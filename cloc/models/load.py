"""A trained model from a run folder or from an exported open_clip folder."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from cloc.errors import UserError
from cloc.models.build import build_model
from cloc.models.cloc import CLOC
from cloc.models.embedder import ModelEmbedder

KEYS = {"tower", "region_head", "region_scale", "box_head"}  # `build_model`'s arguments


def load(path: str | Path, *, device: str = "cpu", ema: bool = False) -> ModelEmbedder:
    """`path` is `runs/NAME` or a folder that `scripts/export.py format=open_clip` wrote.

    `ema` takes the moving average of a run's weights.
    """
    return ModelEmbedder(load_model(Path(path), ema=ema).to(device))


def load_model(path: Path, *, ema: bool = False) -> CLOC:
    """Weights are safetensors and the architecture is plain JSON: nothing in the folder runs."""
    if ema and not (path / "ema.safetensors").is_file():
        raise UserError(f"{path} has no moving average; train with ema.decay, or leave ema out")
    if (path / "open_clip_config.json").is_file():
        return _from_export(path)
    weights = path / "checkpoints" / "model.safetensors"
    if not weights.is_file():
        hint = "train it first, or wait for its first checkpoint (checkpoint_every)"
        if not path.is_dir():
            hint = "there is no such folder"
        raise UserError(f"{path} holds no checkpoint ({weights} is missing): {hint}")
    model = build_model(**_description(weights.with_name("cloc_config.json")))
    weights = path / "ema.safetensors" if ema else weights
    _fill(model, _read(weights), weights)
    return model


def _from_export(path: Path) -> CLOC:
    """An open_clip folder; without the region head's subfolder it is a plain CLIP."""
    region = path / "region_head"
    parts: dict[str, Any] = {}
    if region.is_dir():
        parts = {k: v for k, v in _description(region / "cloc_config.json").items() if k != "tower"}
    model = build_model({"config": f"local-dir:{path}"}, **parts)
    if region.is_dir():
        weights = region / "region_head.safetensors"
        if not weights.is_file():
            raise UserError(f"{weights} is missing: the export is not whole; export the run again")
        tower = {f"tower.{k}": v for k, v in model.tower.state_dict().items()}
        _fill(model, tower | _read(weights), weights)
    return model


def _description(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not the description of a model ({error})") from None
    unknown = set(found) - KEYS if isinstance(found, dict) else {type(found).__name__}
    if unknown or "tower" not in found:
        raise UserError(
            f"{path} is not the description of a model (it holds {sorted(unknown) or 'no tower'}, "
            f"expected {sorted(KEYS)})"
        )
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}); export or train again") from None


def _fill(model: CLOC, state: dict[str, Any], path: Path) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        line = " ".join(str(error).split())[:300]
        raise UserError(f"{path} does not fit its cloc_config.json: {line}") from None
