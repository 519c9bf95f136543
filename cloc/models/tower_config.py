"""open_clip's model configurations: found by name, checked, at another size."""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

import open_clip

from cloc.errors import UserError, one_line
from cloc.foreign_code import check_plain, described
from cloc.models.hugging_face_text import check_choices
from cloc.models.tokenizers import tokenizer_options
from cloc.models.vit_refusals import NO_POOLED_TOKENS

# of open_clip's own towers: the key that names one of another library, and their pool_type
POOLS = {
    "vision_cfg": ("timm_model_name", ("tok", "avg", "none")),
    "text_cfg": ("hf_model_name", ("argmax", "eos", "first", "last", "none")),
}
REQUIRED = ("embed_dim", "vision_cfg", "text_cfg")


def look_up(name: str) -> dict[str, Any]:
    """A deep copy of the configuration of one of open_clip's names."""
    found = open_clip.get_model_config(name)
    if found is None:
        near = [n for n in open_clip.list_models() if n.lower()[:5] == name.lower()[:5]][:8]
        raise UserError(f"open_clip has no model {name!r}; near it: {', '.join(near) or 'none'}")
    return dict(copy.deepcopy(found))


def _named(name: str) -> dict[str, Any]:
    try:
        return look_up(name)
    except UserError as error:
        raise UserError(f"model.tower.config={name}: {error}") from None


def resolve_config(config: Mapping[str, Any] | str) -> dict[str, Any]:
    """A deep copy of the open_clip model configuration that `config` names or is."""
    found = _named(config) if isinstance(config, str) else copy.deepcopy(dict(config))
    lacks = [key for key in REQUIRED if key not in found]
    if lacks:
        raise UserError(
            f"model.tower.config lacks {', '.join(lacks)}; it is an open_clip model configuration "
            f"with {', '.join(REQUIRED)}, or the name of one"
        )
    return {key: dict(v) if isinstance(v, Mapping) else v for key, v in found.items()}


def resized(
    model_config: dict[str, Any], image_size: Any | None, context_length: int | None
) -> dict[str, Any]:
    """The same with these instead of the configured ones; None keeps them."""
    found = copy.deepcopy(model_config)
    if image_size is not None:
        has_sides = isinstance(image_size, Sequence) and not isinstance(image_size, str)
        found["vision_cfg"]["image_size"] = list(image_size) if has_sides else image_size
    if context_length is not None:
        found["text_cfg"]["context_length"] = context_length
    return found


def refuse_place(trunk: str) -> None:
    """Raises `UserError` for a folder or repository where a name of timm's is expected: timm would
    read the architecture and its options from there."""
    if not re.fullmatch(r"[\w.]+", trunk):
        raise UserError(
            f"timm has no model {trunk!r}; give one of timm.list_models(), and weights of your own "
            "as start=timm:NAME,FILE"
        )


def refuse_elsewhere(model_config: Mapping[str, Any]) -> None:
    """Raises `UserError` for a configuration that brings code, or the name of a place that does, or
    names what open_clip has not: before anything is built or read of it."""
    for key in ("vision_cfg", "text_cfg"):
        if not isinstance(model_config.get(key), Mapping):
            found = model_config.get(key)
            raise UserError(f"{key} of the model's configuration is {found!r}, not a mapping")
    vision, text = model_config["vision_cfg"], model_config["text_cfg"]
    if vision.get("timm_model_name"):
        refuse_place(str(vision["timm_model_name"]))
    tokenizer_options(text)
    for part, (other, pools) in POOLS.items():
        found = model_config[part]
        if not found.get(other) and found.get("pool_type", pools[0]) not in pools:
            raise UserError(
                f"{part}.pool_type={found['pool_type']!r} is none of open_clip's; there are "
                f"{', '.join(pools)}"
            )
    check_plain(model_config, "the model's configuration")
    if text.get("hf_model_name"):
        try:
            check_choices(text, described(str(text["hf_model_name"])))
        except (ImportError, OSError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"text_cfg.hf_model_name={text['hf_model_name']} cannot be read "
                f"({one_line(error)}); it needs a network or a copy in the hub's cache"
            ) from error


def refuse(model_config: Mapping[str, Any]) -> None:
    """Raises `UserError` for what cannot be a tower, as far as it shows before one is built."""
    refuse_elsewhere(model_config)
    if "multimodal_cfg" in model_config:
        raise UserError(NO_POOLED_TOKENS)
    vision = model_config["vision_cfg"]
    size = vision.get("image_size", 224)
    is_list = isinstance(size, list | tuple)
    sides = list(size) if is_list else [size]
    if len(sides) != 1 + is_list or not all(type(side) is int and side >= 1 for side in sides):
        raise UserError(
            f"model.tower.image_size={size}: give pixels, 1 or more, or [height,width] (of a "
            "configuration of one's own vision_cfg.image_size)"
        )
    if isinstance(vision.get("layers"), (list, tuple)) and not isinstance(size, int):
        raise UserError(
            f"model.tower.image_size={size}: open_clip builds its ResNets square "
            "alone; give one number (inputs of other shapes are resampled at forward)"
        )
    if vision.get("patch_dropout"):
        raise UserError(
            "open_clip's patch dropout does not say which tokens it kept, and a box may ask for "
            "them; set patch_dropout (of the run) instead, and leave "
            "model.tower.config.vision_cfg.patch_dropout at 0"
        )
