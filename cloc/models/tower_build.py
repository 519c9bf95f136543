"""A `Tower` from an open_clip name, folder, hub repository or model configuration."""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import open_clip
from safetensors import SafetensorError
from torch import nn

from cloc.errors import UserError
from cloc.models.towers import Tower
from cloc.models.unpooled import NO_POOLED_TOKENS

REQUIRED = ("embed_dim", "vision_cfg", "text_cfg")
WITH_WEIGHTS = ("local-dir:", "hf-hub:")  # open_clip's schemas: these bring their own weights


def make_tower(
    config: Mapping[str, Any] | str,
    *,
    pretrained: str | None = None,
    image_size: int | None = None,
    context_length: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Tower:
    """`config` is an open_clip name ("ViT-B-16"), `local-dir:FOLDER`, `hf-hub:REPOSITORY` or a
    model configuration; a name or a configuration without `pretrained` starts from random weights.

    `pretrained` is open_clip's tag or a weight file, for names only. `image_size` in pixels and
    `context_length` in tokens replace the configured ones. `mean` and `std`, of pixels in [0, 1],
    replace those the weights were trained with, which are CLIP's where nothing is recorded.
    """
    model_config = _resized(resolve_config(config), image_size, context_length)
    _refuse(model_config)
    named = isinstance(config, str) and not config.startswith(WITH_WEIGHTS)
    if pretrained and not named:
        raise UserError(
            f"model.tower.pretrained={pretrained} goes with an open_clip name in model.tower.config"
        )
    if isinstance(config, str) and (pretrained or not named):
        clip = _load(config, pretrained, model_config, image_size, context_length)
    else:
        clip = _from_config(model_config)
    _fit_input(clip.visual)
    constants, visual = open_clip.constants, clip.visual
    return Tower(
        clip,
        model_config=model_config,
        mean=mean or getattr(visual, "image_mean", None) or constants.OPENAI_DATASET_MEAN,
        std=std or getattr(visual, "image_std", None) or constants.OPENAI_DATASET_STD,
        folder=_folder(config),
    )


def _resized(
    model_config: dict[str, Any], image_size: int | None, context_length: int | None
) -> dict[str, Any]:
    if image_size is not None:
        model_config["vision_cfg"]["image_size"] = image_size
    if context_length is not None:
        model_config["text_cfg"]["context_length"] = context_length
    return model_config


def resolve_config(config: Mapping[str, Any] | str) -> dict[str, Any]:
    """A deep copy of the open_clip model configuration that `config` names or is."""
    found: Any = copy.deepcopy(dict(config)) if not isinstance(config, str) else _look_up(config)
    lacks = [key for key in REQUIRED if key not in found]
    if lacks:
        raise UserError(
            f"model.tower.config lacks {', '.join(lacks)}; it is an open_clip model configuration "
            f"with {', '.join(REQUIRED)}, or the name of one"
        )
    return {key: dict(v) if isinstance(v, Mapping) else v for key, v in found.items()}


def _look_up(name: str) -> Any:
    folder = _folder(name)
    if folder is not None:
        path = folder / "open_clip_config.json"
        if not path.is_file():
            raise UserError(f"{path} does not exist; a local-dir: model is an open_clip folder")
        try:
            return json.loads(path.read_text())["model_cfg"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is not an open_clip configuration ({error!r})") from None
    found = open_clip.get_model_config(name)
    if found is None:
        near = [n for n in open_clip.list_models() if n.lower()[:5] == name.lower()[:5]][:8]
        raise UserError(f"open_clip has no model {name!r}; near it: {', '.join(near) or 'none'}")
    return copy.deepcopy(found)


def _folder(config: Mapping[str, Any] | str) -> Path | None:
    if isinstance(config, str) and config.startswith("local-dir:"):
        return Path(config.removeprefix("local-dir:"))
    return None


def _refuse(model_config: Mapping[str, Any]) -> None:
    """What can be known before anything is built."""
    if "multimodal_cfg" in model_config:
        raise UserError(NO_POOLED_TOKENS)
    if model_config["vision_cfg"].get("patch_dropout"):
        raise UserError(
            "open_clip's patch dropout does not say which tokens it kept, and a box may ask for "
            "them; set patch_dropout (of the run) instead, and leave "
            "model.tower.config.vision_cfg.patch_dropout at 0"
        )


def _load(
    name: str,
    pretrained: str | None,
    model_config: dict[str, Any],
    image_size: int | None,
    context_length: int | None,
) -> Any:
    """With weights, always: open_clip's own default is to go on with random ones."""
    tag = open_clip.get_pretrained_cfg(name, pretrained) if pretrained else None
    quick_gelu = bool((tag or {}).get("quick_gelu"))  # else "ViT-B-32/openai" runs on another GELU
    if quick_gelu:
        model_config["quick_gelu"] = True
    try:
        return open_clip.create_model(
            name,
            pretrained=pretrained,
            force_quick_gelu=quick_gelu,
            force_image_size=image_size,
            force_context_length=context_length,
            require_pretrained=True,
        )
    except (RuntimeError, ValueError, OSError, SafetensorError) as error:
        what = f"{name} with pretrained={pretrained}" if pretrained else name
        raise UserError(f"open_clip cannot load {what}: {_one_line(error)}") from error


def _from_config(model_config: Mapping[str, Any]) -> Any:
    config = copy.deepcopy(dict(model_config))
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    make: type[nn.Module] = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    try:
        return make(**config)
    except (TypeError, RuntimeError, OSError) as error:
        raise UserError(f"open_clip cannot build model.tower.config: {_one_line(error)}") from error


def _fit_input(visual: Any) -> None:
    """A timm trunk is built for the pixels in its own name; open_clip resizes it only where it
    loads it with a forced size."""
    embed = getattr(getattr(visual, "trunk", None), "patch_embed", None)
    size = getattr(embed, "img_size", None)
    if size is None or tuple(size) == tuple(visual.image_size):
        return
    if not hasattr(visual.trunk, "set_input_size"):
        raise UserError(
            f"{type(visual.trunk).__name__} is fixed at {size[0]} pixels, but image_size is "
            f"{visual.image_size[0]}; set model.tower.image_size={size[0]}"
        )
    visual.set_input_size(visual.image_size)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
