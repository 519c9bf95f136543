"""A transformers config.json of CLIP or SigLIP as open_clip's model configuration."""

import math
from collections.abc import Mapping
from typing import Any

from cloc.errors import UserError
from cloc.transformers_layout.trunks import find_trunk

Config = dict[str, Any]

# what transformers' own classes take for a key that config.json leaves out
SIZES = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12}
CLIP_ACT = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
SIGLIP_ACT = {"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6}
PIXELS = {"num_attention_heads": 12, "num_channels": 3, "image_size": 224}
CLIP_TEXT: Config = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "eos_token_id": 49407,
    **CLIP_ACT,
}
SIGLIP_TEXT: Config = {
    "vocab_size": 32000,
    **SIZES,
    "num_attention_heads": 12,
    "max_position_embeddings": 64,
    **SIGLIP_ACT,
}
CLIP_VISION: Config = {**SIZES, **PIXELS, "patch_size": 32, **CLIP_ACT}
SIGLIP_VISION: Config = {**SIZES, **PIXELS, "patch_size": 16, "vision_use_head": True, **SIGLIP_ACT}
DEFAULTS = {"clip": (CLIP_TEXT, CLIP_VISION), "siglip": (SIGLIP_TEXT, SIGLIP_VISION)}
CLIP_DIM = 512

LEGACY_END = 2  # as eos_token_id: CLIPTextModel pools the highest id of a text, whichever it is
ACTIVATIONS: dict[str, Config | None] = {"gelu": None, "gelu_pytorch_tanh": {"approximate": "tanh"}}
OUR_EPS = 1e-5  # open_clip's own layer norms


def parts(config: Mapping[str, Any]) -> tuple[Config, Config]:
    """The text and the vision configuration of a CLIPModel or SiglipModel, with all their keys."""
    kind = config.get("model_type")
    if kind not in DEFAULTS:
        raise UserError(f"model_type={kind!r}; only clip and siglip are known")
    # a file of 2022 has both, and transformers goes by the first
    text = config.get("text_config_dict") or config.get("text_config") or {}
    vision = config.get("vision_config_dict") or config.get("vision_config") or {}
    return {**DEFAULTS[kind][0], **text}, {**DEFAULTS[kind][1], **vision}


def open_clip_config(config: Mapping[str, Any]) -> Config:
    """The configuration that open_clip itself has for such a model; `UserError` with the reason
    where it cannot express it. The tokenizer is not part of config.json."""
    text, vision = parts(config)
    for key in ("image_size", "patch_size"):
        if not isinstance(vision[key], int):
            raise UserError(f"vision_config.{key}={vision[key]}; only a single number is known")
    if vision["num_channels"] != 3:
        raise UserError(f"vision_config.num_channels={vision['num_channels']}; pictures have 3")
    if config["model_type"] == "siglip":
        return _siglip(text, vision)
    return _clip(text, vision, config.get("projection_dim", CLIP_DIM))


def _clip(text: Config, vision: Config, dim: int) -> Config:
    acts = {text["hidden_act"], vision["hidden_act"]}
    quick = "quick_gelu" in acts
    if quick and len(acts) > 1:
        raise UserError(
            f"the towers' hidden_act are {' and '.join(sorted(acts))}; open_clip has quick_gelu in "
            "both towers or in none"
        )
    width = vision["hidden_size"]
    vision_cfg = {
        "image_size": vision["image_size"],
        "patch_size": vision["patch_size"],
        "width": width,
        "layers": vision["num_hidden_layers"],
        "head_width": width // vision["num_attention_heads"],
        **_inner(vision, quick=quick),
    }
    end = text["eos_token_id"]
    if not isinstance(end, int):
        raise UserError(f"text_config.eos_token_id={end}; a text's embedding is read at that id")
    text_cfg = {**_sizes(text), **_inner(text, quick=quick)}
    # the highest id of all is what open_clip's default, `argmax`, finds as well
    if end not in (LEGACY_END, text["vocab_size"] - 1):
        text_cfg |= {"pool_type": "eos", "eos_id": end}
    act = {"quick_gelu": True} if quick else {}
    return {"embed_dim": dim, **act, "vision_cfg": vision_cfg, "text_cfg": text_cfg}


def _siglip(text: Config, vision: Config) -> Config:
    dim = vision["hidden_size"]
    if not vision["vision_use_head"]:
        raise UserError("vision_use_head=false: without its pooling head it has no embedding")
    projected = text.get("projection_size") or text["hidden_size"]
    if projected != dim:
        raise UserError(
            f"an image's embedding has {dim} numbers (vision_config.hidden_size), a text's "
            f"{projected} (text_config.projection_size)"
        )
    vision_cfg = {
        "image_size": vision["image_size"],
        "timm_model_name": find_trunk(vision),
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "none",
    }
    whole_text = {"no_causal_mask": True, "proj_bias": True, "pool_type": "last"}
    return {
        "embed_dim": dim,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": vision_cfg,
        "text_cfg": {**_sizes(text), **whole_text, **_inner(text, quick=False)},
    }


def _sizes(text: Config) -> Config:
    return {
        "context_length": text["max_position_embeddings"],
        "vocab_size": text["vocab_size"],
        "width": text["hidden_size"],
        "heads": text["num_attention_heads"],
        "layers": text["num_hidden_layers"],
    }


def _inner(part: Config, *, quick: bool) -> Config:
    """Of the blocks, where it is not open_clip's default."""
    act = part["hidden_act"]
    found: Config = {}
    if not quick:
        if act not in ACTIVATIONS:
            known = ", ".join((*ACTIVATIONS, "quick_gelu (in both towers of a CLIP)"))
            raise UserError(f"hidden_act={act!r}; open_clip has {known}")
        if ACTIVATIONS[act] is not None:
            found["act_kwargs"] = ACTIVATIONS[act]
    width, inner = part["hidden_size"], part["intermediate_size"]
    if inner != 4 * width:
        found["mlp_ratio"] = _ratio(inner, width)
    if part["layer_norm_eps"] != OUR_EPS:
        found["norm_kwargs"] = {"eps": part["layer_norm_eps"]}
    return found


def _ratio(inner: int, width: int) -> float:
    """open_clip takes `int(width * ratio)`, which must be `inner`; four digits, as in its own
    configurations, where they do."""
    ratio = math.ceil(inner / width * 1e4) / 1e4
    if int(width * ratio) != inner:
        ratio = inner / width
    while int(width * ratio) < inner:
        ratio = math.nextafter(ratio, math.inf)
    return ratio
