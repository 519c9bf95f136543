"""A trained model from a run folder, or from a folder exported for open_clip or transformers."""

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_bytes

from cloc.checkpoints.folder import (
    AVERAGE,
    CONFIG,
    MODEL,
    WEIGHTS,
    Damaged,
    Place,
    check,
    folder_name,
    newest,
)
from cloc.checkpoints.locations import place_of
from cloc.errors import UserError, one_line
from cloc.models.build import build_model
from cloc.models.cloc import CLOC
from cloc.models.embedder import ModelEmbedder
from cloc.models.lora import merge_lora
from cloc.models.start import read_start
from cloc.models.start_folder import FOLDER, tokenizer_folder
from cloc.models.starts.hf import CONFIG as HF_CONFIG
from cloc.numerics import first_not_finite

REGION, REGION_WEIGHTS = "region_head", "region_head.safetensors"
GRAPHS = ("onnx_config.json", "torch_export_config.json")
KEYS = {"tower", "region_head", "region_scale", "box_head", "lora"}  # `build_model`'s arguments
DECODER = "decoder"  # beside them, of a run that has one: `cloc.decoder.load` takes it too
ELSEWHERE = ("start", "folder")  # of a tower: a description is whole, and names no other place


def load(
    path: str | Path, *, device: str = "cpu", ema: bool = False, wise_ft: float = 1.0
) -> ModelEmbedder:
    """`path` is `runs/NAME` or a folder that `export` wrote with format=open_clip or hf.

    `ema` takes the moving average of a run's weights; `wise_ft` is `load_model`'s.
    """
    if not isinstance(path, str | os.PathLike):
        raise UserError(f"load takes a path, such as 'runs/demo', not {path!r:.60}")
    try:
        place = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise UserError(f"device={device!r} is not here ({one_line(error)}); try 'cpu'") from None
    return ModelEmbedder(load_model(Path(path), ema=ema, wise_ft=wise_ft).to(place))


def load_model(path: Path, *, ema: bool = False, wise_ft: float = 1.0) -> CLOC:
    """Weights are safetensors and the architecture is plain JSON: nothing in the folder runs.

    With `wise_ft` below 1 the tower is that share of the trained weights and the rest of those the
    run started from (WiSE-FT, arXiv 2109.01903); the heads stay the trained ones. LoRA is merged.
    Weights that are not finite are refused: every answer would be wrong, and look like one.
    """
    model = _loaded(path, ema=ema, wise_ft=wise_ft)
    if bad := first_not_finite(model.state_dict()):
        raise UserError(
            f"{path}: the weights of {bad} are not finite, so the model has no answers; train "
            "again with a lower optimizer.lr, or restore an earlier checkpoint"
        )
    return model


def _loaded(path: Path, *, ema: bool, wise_ft: float) -> CLOC:
    for kind, mark in (("open_clip", "open_clip_config.json"), ("hf", HF_CONFIG)):
        if (path / mark).is_file():
            _refuse_choice(path, ema=ema, wise_ft=wise_ft)
            return _from_export(path, kind)
    for mark in GRAPHS:
        if (path / mark).is_file():
            raise UserError(
                f"{path} holds graphs for other runtimes, not the model; give runs/NAME, or an "
                "export with format=open_clip or hf"
            )
    if (path / WEIGHTS).is_file():
        _refuse_choice(path, ema=ema, wise_ft=wise_ft)
        return _from_files(path)
    description, state, name = stored(path, ema=ema)
    description.pop(DECODER, None)
    model = _built(_with_tokenizer(description, tokenizer_folder(path)), f"{name}/{CONFIG}")
    own = {key: value for key, value in state.items() if not key.startswith(f"{DECODER}.")}
    _fill(model, own, f"{name}/{AVERAGE if ema else WEIGHTS}")
    merge_lora(model)
    if wise_ft != 1:
        _mix(model, path, share=wise_ft)
    return model


def stored(path: Path, *, ema: bool = False) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Description, weights and name of the newest whole checkpoint of the run `path`."""
    place = place_of(path)
    step, damaged = newest(place, MODEL)
    if not step:
        hint = "train it first, or wait for its first checkpoint (checkpoint_every)"
        if not path.is_dir():
            hint = "there is no such folder"
        raise UserError(f"{path} holds no checkpoint: {hint}")
    if damaged:
        warnings.warn(f"{'; '.join(damaged)}; step {step} is loaded instead", stacklevel=4)
    name = f"{place}/{folder_name(step)}"
    with place.open(step, CONFIG) as file:
        description = _description(file.read(), f"{name}/{CONFIG}")
    weights = _average(place, step, path) if ema else WEIGHTS
    with place.open(step, weights) as file:
        return description, _read(file.read(), f"{name}/{weights}"), name


def _refuse_choice(path: Path, *, ema: bool, wise_ft: float) -> None:
    """A folder of one set of weights has nothing to choose from."""
    given = [*(["ema=true"] if ema else []), *([f"wise_ft={wise_ft}"] if wise_ft != 1 else [])]
    if given:
        raise UserError(
            f"{path} is an export or a kept start, with one set of weights; {' and '.join(given)} "
            "is for a run: give runs/NAME, or choose when exporting"
        )


def _built(description: dict[str, Any], path: Path | str) -> CLOC:
    with _told(path):
        return build_model(**description)


@contextmanager
def _told(path: Path | str) -> Iterator[None]:
    """Around the building of what `path` describes."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, AssertionError, RuntimeError) as error:
        raise UserError(
            f"{path} describes no model that can be built: {one_line(error)}"
        ) from error


def _with_tokenizer(description: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    return {**description, "tower": {**description["tower"], "folder": folder}}


def _from_files(path: Path) -> CLOC:
    """What `cloc.models.start_folder.keep` wrote: a description and weights, side by side."""
    description = _description((path / CONFIG).read_bytes(), path / CONFIG)
    model = _built(_with_tokenizer(description, tokenizer_folder(path.parent)), path / CONFIG)
    _fill(model, _read((path / WEIGHTS).read_bytes(), path / WEIGHTS), path / WEIGHTS)
    return model


def _mix(model: CLOC, run: Path, *, share: float) -> None:
    if not 0 <= share <= 1:
        raise UserError(f"wise_ft={share}; choose 0 (the start) to 1 (the trained weights)")
    if not (run / FOLDER / WEIGHTS).is_file():
        raise UserError(
            f"wise_ft={share}: {run} keeps no start to mix with; it is for runs with start=..."
        )
    start = _from_files(run / FOLDER).tower.state_dict()
    own = model.tower.state_dict()
    with torch.no_grad():
        for name, value in own.items():
            if value.is_floating_point():
                value.lerp_(start[name], 1 - share)


def _average(place: Place, step: int, run: Path) -> str:
    """The name of the moving average's file, every byte of it checked."""
    try:
        check(place, step, [AVERAGE])
    except Damaged as error:
        raise UserError(
            f"{run} has no whole moving average ({error}); train with ema.decay, or leave ema out"
        ) from None
    return AVERAGE


def _from_export(path: Path, kind: str) -> CLOC:
    """A folder in somebody's layout; without the region head's subfolder it is a plain CLIP."""
    parts = _region_parts(path)
    positions = parts.pop("tower", {}).get("positions")  # a folder of others has no place for them
    with _told(path / REGION / CONFIG):
        start = read_start(f"{kind}:{path}")._replace(positions=positions)
        model = build_model(**parts, tower={"start": start})
    return _with_region_head(model, path)


def _region_parts(path: Path) -> dict[str, Any]:
    """`build_model`'s arguments as the run had them; {} for a plain CLIP."""
    region = path / REGION
    if not region.is_dir():
        return {}
    for file in (region / CONFIG, region / REGION_WEIGHTS):
        if not file.is_file():
            raise UserError(f"{file} is missing: the export is not whole; export the run again")
    return _description((region / CONFIG).read_bytes(), region / CONFIG)


def _with_region_head(model: CLOC, path: Path) -> CLOC:
    weights = path / REGION / REGION_WEIGHTS
    if weights.parent.is_dir():
        tower = {f"tower.{k}": v for k, v in model.tower.state_dict().items()}
        _fill(model, tower | _read(weights.read_bytes(), weights), weights)
    return model


def _description(raw: bytes, path: Path | str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError as error:
        raise UserError(f"{path} is not the description of a model ({error})") from None
    unknown = set(found) - {*KEYS, DECODER} if isinstance(found, dict) else {type(found).__name__}
    if unknown or not isinstance(found.get("tower"), dict):
        raise UserError(
            f"{path} is not the description of a model (it holds {sorted(unknown) or 'no tower'}, "
            f"expected {sorted(KEYS)})"
        )
    places = [key for key in ELSEWHERE if key in found["tower"]]
    if places:
        raise UserError(
            f"{path} is not the description of a model: its tower names another place "
            f"({places[0]}), expected an architecture"
        )
    return found


def _read(raw: bytes, path: Path | str) -> dict[str, Any]:
    try:
        return load_bytes(raw)
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}); export or train again") from None


def _fill(model: CLOC, state: dict[str, Any], path: Path | str) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        line = " ".join(str(error).split())[:300]
        raise UserError(f"{path} does not fit its cloc_config.json: {line}") from None
