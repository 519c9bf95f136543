"""An open_clip model configuration as transformers' config.json, where it has such a model."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NoReturn

from open_clip.model import CLIPTextCfg, CLIPVisionCfg

from cloc.errors import UserError
from cloc.transformers_layout.read_config import ACTIVATIONS, LEGACY_END, OUR_EPS, Config
from cloc.transformers_layout.trunks import describe_trunk

CLIP_VOCABULARY, START, END = 49408, 49406, 49407  # of CLIP's own byte pairs

# keys of open_clip's configurations that transformers' have too, or that no answer depends on
INNER = {"layers", "width", "mlp_ratio", "act_kwargs", "norm_kwargs"}
VISION_KEYS = {*INNER, "head_width", "patch_size", "image_size", "patch_dropout"}
TEXT_KEYS = {*INNER, "heads", "context_length", "vocab_size", "pool_type", "eos_id", "pad_id"}
TOKENIZER_KEYS = {"hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs"}
SIGLIP_TEXT = {"no_causal_mask": True, "proj_bias": True, "pool_type": "last"}


def transformers_config(model_cfg: Mapping[str, Any], *, vision_only: bool = False) -> Config:
    """`architectures` in it names transformers' class. `UserError` with the reason where there is
    none; with `vision_only` no matter what the text tower is."""
    timm = bool(model_cfg["vision_cfg"].get("timm_model_name"))
    vision = _siglip_vision(model_cfg) if timm else _clip_vision(model_cfg)
    if vision_only:
        name = "SiglipVisionModel" if timm else "CLIPVisionModelWithProjection"
        return {**vision, "architectures": [name]}
    if timm:
        both = {"text_config": _siglip_text(model_cfg), "vision_config": vision}
        return {"model_type": "siglip", "architectures": ["SiglipModel"], **both}
    bias, dim = model_cfg.get("init_logit_bias"), model_cfg["embed_dim"]
    if bias is not None:
        _refuse(f"init_logit_bias={bias}: CLIPModel has no bias of its logits")
    both = {"text_config": _clip_text(model_cfg), "vision_config": vision}
    return {"model_type": "clip", "architectures": ["CLIPModel"], "projection_dim": dim, **both}


def _clip_vision(model_cfg: Mapping[str, Any]) -> Config:
    vision = _full(model_cfg, "vision_cfg", CLIPVisionCfg)
    if not isinstance(vision["layers"], int):
        _refuse("vision_cfg.layers is a list, OpenAI's ResNet: transformers has only ViTs of CLIP")
    _only(model_cfg, "vision_cfg", CLIPVisionCfg, VISION_KEYS)
    for key in ("image_size", "patch_size"):
        if not isinstance(vision[key], int):
            _refuse(f"vision_cfg.{key}={vision[key]}: CLIPVisionModel's is a single number")
    return {
        "model_type": "clip_vision_model",
        "projection_dim": model_cfg["embed_dim"],
        "image_size": vision["image_size"],
        "patch_size": vision["patch_size"],
        "num_channels": 3,
        "num_attention_heads": vision["width"] // vision["head_width"],
        **_inner(model_cfg, vision, "vision_cfg"),
    }


def _siglip_vision(model_cfg: Mapping[str, Any]) -> Config:
    vision = _full(model_cfg, "vision_cfg", CLIPVisionCfg)
    name, pool, proj = (vision[f"timm_{key}"] for key in ("model_name", "pool", "proj"))
    if (pool, proj) != ("map", "none"):
        _refuse(
            f"timm's {name} with timm_pool={pool}, timm_proj={proj}: transformers has a vision "
            "tower of timm's only as SigLIP's, with timm_pool=map, timm_proj=none"
        )
    size = vision["image_size"]
    try:
        described = describe_trunk(name)
    except UserError as error:
        _refuse(str(error))
    if not isinstance(size, int):
        _refuse(f"vision_cfg.image_size={size}: SiglipVisionModel's is a single number")
    shape = {**described, "image_size": size, "num_channels": 3, "vision_use_head": True}
    return {"model_type": "siglip_vision_model", **shape}


def _clip_text(model_cfg: Mapping[str, Any]) -> Config:
    text = _text(model_cfg, TEXT_KEYS)
    pool, end = text["pool_type"], text["eos_id"]
    if pool == "argmax":
        end = END if _has_clips_vocabulary(text) else LEGACY_END
    elif pool != "eos" or end == LEGACY_END:
        _refuse(
            f"text_cfg.pool_type={pool}, eos_id={end}: CLIPTextModel pools the end of the text, "
            f"argmax or eos, and takes eos_id={LEGACY_END} for argmax"
        )
    return {
        "model_type": "clip_text_model",
        "projection_dim": model_cfg["embed_dim"],
        **_text_sizes(model_cfg, text),
        "eos_token_id": end,
    }


def _siglip_text(model_cfg: Mapping[str, Any]) -> Config:
    text = _text(model_cfg, {*TEXT_KEYS, *SIGLIP_TEXT})
    lacks = [f"text_cfg.{k}={v}" for k, v in SIGLIP_TEXT.items() if text[k] != v]
    if lacks:
        _refuse(f"SiglipModel's text tower is open_clip's with {', '.join(lacks)}")
    return {
        "model_type": "siglip_text_model",
        "projection_size": model_cfg["embed_dim"],
        **_text_sizes(model_cfg, text),
    }


def _text(model_cfg: Mapping[str, Any], expressed: set[str]) -> Config:
    text = _full(model_cfg, "text_cfg", CLIPTextCfg)
    if text["hf_model_name"]:
        _refuse(f"the text tower is {text['hf_model_name']}, not CLIP's or SigLIP's own")
    _only(model_cfg, "text_cfg", CLIPTextCfg, expressed | TOKENIZER_KEYS)
    return text


def _text_sizes(model_cfg: Mapping[str, Any], text: Config) -> Config:
    ours = _has_clips_vocabulary(text)
    return {
        "vocab_size": text["vocab_size"],
        "max_position_embeddings": text["context_length"],
        "num_attention_heads": text["heads"],
        **_inner(model_cfg, text, "text_cfg"),
        "bos_token_id": START if ours else None,  # transformers' defaults are these numbers,
        "eos_token_id": END if ours else None,  # and it warns where they are no ids
        "pad_token_id": None,
    }


def _has_clips_vocabulary(text: Config) -> bool:
    return text["vocab_size"] == CLIP_VOCABULARY and not text["hf_tokenizer_name"]


def _inner(model_cfg: Mapping[str, Any], part: Config, key: str) -> Config:
    """Width, depth, activation and norms of a native tower's blocks."""
    act, norm = part["act_kwargs"] or None, part["norm_kwargs"] or {}
    names = [name for name, kwargs in ACTIVATIONS.items() if kwargs == act]
    if not names or set(norm) - {"eps"}:
        _refuse(f"{key}.act_kwargs={act}, norm_kwargs={norm}: only approximate: tanh and eps")
    return {
        "hidden_size": part["width"],
        "intermediate_size": int(part["width"] * part["mlp_ratio"]),
        "num_hidden_layers": part["layers"],
        "hidden_act": "quick_gelu" if model_cfg.get("quick_gelu") else names[0],
        "layer_norm_eps": norm.get("eps", OUR_EPS),
    }


def _full(model_cfg: Mapping[str, Any], key: str, cls: Any) -> Config:
    """With open_clip's defaults for what the configuration leaves out."""
    return {field.name: field.default for field in dataclasses.fields(cls)} | dict(model_cfg[key])


def _only(model_cfg: Mapping[str, Any], key: str, cls: Any, expressed: set[str]) -> None:
    """Refuses a part that departs from open_clip's default where transformers has no such key."""
    default = _full({key: {}}, key, cls)
    for name, value in model_cfg[key].items():
        if name not in expressed and value != default.get(name):
            _refuse(f"{key}.{name}={value}: transformers has no such part")


def _refuse(reason: str) -> NoReturn:
    raise UserError(
        f"transformers has no class for this model ({reason}); choose format=open_clip, or onnx "
        "and torch_export, which hold any"
    )
