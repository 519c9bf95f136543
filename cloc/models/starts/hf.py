"""A start from a folder in transformers' layout: CLIP, SigLIP and SigLIP 2 of fixed resolution."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from cloc.errors import UserError, one_line
from cloc.foreign_code import refuse_code
from cloc.frame import Framing
from cloc.models.start import HFS, Start, Three, on_hub, three_numbers
from cloc.models.text_probe import beyond
from cloc.models.tokenizers import make_tokenizer
from cloc.models.tower_build import make_tower
from cloc.models.transformers_folder import (
    CONFIG,
    PIXELS,
    PROCESSOR,
    TOKENIZER,
    fetch_description,
    fetch_weights,
    read_json,
    read_weights,
)
from cloc.transformers_layout.convert import to_open_clip, to_transformers
from cloc.transformers_layout.read_config import open_clip_config
from cloc.transformers_layout.weights import IGNORED
from cloc.transformers_layout.write_config import CLIP_VOCABULARY

CLIPS_SPECIAL = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
HALF = (0.5, 0.5, 0.5)  # SiglipImageProcessor's own mean and std
KNOWN = "a folder that CLIPModel or SiglipModel (SigLIP 2 of fixed resolution too) has saved"
# the tokenizers that open_clip names for SigLIP's vocabularies; read from the folder nevertheless
NAMES = {32000: "timm/ViT-B-16-SigLIP", 256000: "timm/ViT-B-16-SigLIP2-256"}


def read(where: str | Path) -> Start:
    """`where` is a folder that transformers saved, or a repository of the hub, ORG/NAME or its
    address, which is fetched into the hub's cache.

    Weights in float32. The pictures' mean and std are the folder's; their size is the model's,
    of config.json. Raises `UserError` where the files do not fit each other, and reads no code."""
    folder = Path(where).expanduser()
    repository = None if folder.is_dir() else on_hub(str(where))
    if repository is not None:
        folder = fetch_description(repository)
    if not folder.is_dir():
        raise UserError(f"hf:{where}: there is no such folder; write {HFS}")
    refuse_code(folder)
    config = read_json(folder / CONFIG, f"hf: takes {KNOWN}")
    _check_kind(config, folder)
    try:
        model_cfg = open_clip_config(config)
        with torch.device("meta"):
            built = make_tower(model_cfg).clip.state_dict()
    except (ValueError, TypeError, AttributeError, ArithmeticError, AssertionError) as error:
        raise UserError(f"{folder / CONFIG}: {one_line(error)}") from error
    if repository is not None:
        fetch_weights(repository, folder)
    found = read_weights(folder)
    _check_shapes(to_transformers(model_cfg, built)[1], found, folder)
    try:
        _, state = to_open_clip(config, found)
    except UserError as error:
        raise UserError(f"{folder}: {error}; is config.json of another model?") from None
    own = _tokenizer(model_cfg, config, folder)
    mean, std, background, framing = _pixels(folder, config)
    state = {name: value.float() for name, value in state.items()}
    seen = Start(model_cfg, state, mean, std, None if own else folder, background=background)
    return seen._replace(framing=framing)


def _check_kind(config: Mapping[str, Any], folder: Path) -> None:
    kind = config.get("model_type")
    if kind in ("clip", "siglip"):
        return
    if kind == "siglip2":
        reason = (
            "NaFlex: it takes patches of pictures in any shape, which open_clip has no tower for; "
            "the SigLIP 2 checkpoints of fixed resolution have model_type siglip"
        )
    elif kind in ("clip_vision_model", "siglip_vision_model"):
        reason = (
            "a vision tower alone: give the whole model it was taken from (to start a run, or to "
            "measure it with text_encoder=, the same tower of timm is timm:NAME)"
        )
    elif kind is None and "architecture" in config:
        reason = (
            "no model of transformers' but timm's, an image tower alone, as format=timm writes it"
        )
    else:
        reason = f"unknown here; hf: takes {KNOWN}"
    raise UserError(f"{folder / CONFIG}: model_type={kind!r} is {reason}")


def _check_shapes(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], folder: Path) -> None:
    for name in wanted.keys() & found.keys() - set(IGNORED):
        if wanted[name].numel() != found[name].numel() or (
            wanted[name].ndim > 1 and wanted[name].shape != found[name].shape
        ):
            raise UserError(
                f"{folder}: {name} is {list(found[name].shape)} in the weights, but config.json "
                f"asks for {list(wanted[name].shape)}: it is of another model"
            )


def _pixels(
    folder: Path, config: Mapping[str, Any]
) -> tuple[Three | None, Three | None, Any, Framing | None]:
    """Mean and std of pixels in [0, 1], else the model's own; what transparent pixels show; and its
    framing, None for an export of ours, which is trained in ours."""
    path, found = folder / PIXELS, {}
    if path.is_file():
        found = read_json(path, "")
    elif (folder / PROCESSOR).is_file():
        path = folder / PROCESSOR
        found = read_json(path, "").get("image_processor", {})
    if not found.get("do_rescale", True) or not found.get("do_normalize", True):
        raise UserError(
            f"{path}: do_rescale and do_normalize must be true; pixels are taken from 0 to 1 and "
            "normalised with image_mean and image_std"
        )
    default = HALF if config["model_type"] == "siglip" else None
    mean, std = (
        default if found.get(key) is None else three_numbers(found[key], key, str(path))
        for key in ("image_mean", "image_std")
    )
    brightest = 255 * _number(path, found, "rescale_factor", 1 / 255)  # of what mean and std are
    if not math.isclose(brightest, 1):
        mean = _divided(mean or OPENAI_DATASET_MEAN, brightest)
        std = _divided(std or OPENAI_DATASET_STD, brightest)
    background = found.get("background")
    ours = background is not None
    return mean, std, background, None if ours else _framing(path, found, config)


def _framing(path: Path, found: Mapping[str, Any], config: Mapping[str, Any]) -> Framing:
    """The processor's, in our words; its size is set to the model's later."""
    clip = config["model_type"] == "clip"
    try:
        kind = PIL.Image.Resampling(found.get("resample", 3)).name.lower()
        size = found.get("size") or {}
        shorter = size.get("shortest_edge") if isinstance(size, Mapping) else int(size)
        cut = found.get("crop_size") or {}
        seen = cut.get("height") if isinstance(cut, Mapping) else cut
        if wrong := [x for x in (shorter, seen) if x is not None and (type(x) is not int or x < 1)]:
            raise ValueError(f"{wrong[0]!r} is no number of pixels")
    except (ValueError, TypeError) as error:
        told = f"{path}: size, crop_size or resample cannot be read ({error})"
        raise UserError(f"{told}; take the folder's own file again") from None
    if not found.get("do_center_crop", clip) or (
        shorter is None and isinstance(size, Mapping) and "height" in size
    ):
        return Framing("squash", 224, kind)
    return Framing("crop", seen or shorter or 224, kind, shorter=shorter, halves="down")


def _number(path: Path, found: Mapping[str, Any], key: str, default: float) -> float:
    given = default if found.get(key) is None else found[key]
    if type(given) not in (int, float) or not 0 < given < math.inf:
        raise UserError(f"{path}: {key}={given!r} is no positive number")
    return float(given)


def _divided(three: tuple[float, ...], by: float) -> tuple[float, float, float]:
    red, green, blue = (x / by for x in three)
    return red, green, blue


def _tokenizer(model_cfg: dict[str, Any], config: Mapping[str, Any], folder: Path) -> bool:
    """True where it is open_clip's own; else `model_cfg` names the folder's, which must fit."""
    text = model_cfg["text_cfg"]
    if text["vocab_size"] == CLIP_VOCABULARY and _is_clips(_vocabulary(folder), config):
        return True
    if not any((folder / name).is_file() for name in TOKENIZER):
        raise UserError(
            f"{folder} has a vocabulary of {text['vocab_size']} words, but no tokenizer; put its "
            f"{', '.join(TOKENIZER[:-1])} or {TOKENIZER[-1]} there"
        )
    text["hf_tokenizer_name"] = NAMES.get(text["vocab_size"], folder.name)
    if config["model_type"] == "siglip":
        text["tokenizer_kwargs"] = {"clean": "canonicalize"}  # as open_clip has it
    last = _beyond(model_cfg, folder)
    if last is not None:
        raise UserError(
            f"{folder}: the tokenizer has ids up to {last}, but the text tower only "
            f"{text['vocab_size']} (vocab_size): it is of another model"
        )
    return False


def _beyond(model_cfg: Mapping[str, Any], folder: Path) -> int | None:
    try:
        made: Any = make_tokenizer(model_cfg, folder=folder)
        return beyond(made, model_cfg["text_cfg"]["vocab_size"])
    except Exception as error:  # the tokenizers' own errors are of no other class
        raise UserError(f"{folder}: its tokenizer cannot be read: {one_line(error)}") from error


def _is_clips(vocabulary: Mapping[str, int], config: Mapping[str, Any]) -> bool:
    if not vocabulary:
        return True
    if config["model_type"] != "clip":  # a SigLIP reads its padding: open_clip's own pads with 0
        return False
    ours = SimpleTokenizer().encoder
    return vocabulary in (ours, {CLIPS_SPECIAL.get(word, word): i for word, i in ours.items()})


def _vocabulary(folder: Path) -> dict[str, int]:
    """Of byte pairs, as their files hold it; empty where there is none."""
    if (folder / "tokenizer.json").is_file():
        model = read_json(folder / "tokenizer.json", "").get("model")
        found = model.get("vocab", {}) if isinstance(model, dict) else None
        return found if isinstance(found, dict) else {"": 0}  # a list is no byte pairs'
    if (folder / "vocab.json").is_file():
        return read_json(folder / "vocab.json", "")
    return {}
