"""transformers' CLIP and SigLIP models as open_clip's, and back: configuration and weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cloc.transformers_layout.read_config import Config, open_clip_config, parts
from cloc.transformers_layout.weights import (
    Rule,
    State,
    clip_text_rules,
    clip_vision_rules,
    scale_rules,
    siglip_text_rules,
    siglip_vision_rules,
    to_open_clip_state,
    to_transformers_state,
)
from cloc.transformers_layout.write_config import transformers_config

IN_CUSTOM_TEXT = (
    "text."  # open_clip's CustomTextCLIP keeps the text tower there, its CLIP on itself
)


def to_open_clip(config: Mapping[str, Any], state: State) -> tuple[Config, dict[str, Tensor]]:
    """open_clip's configuration and all weights of its model, from the config.json and weights of a
    CLIPModel or SiglipModel; raises `UserError` for what open_clip cannot express.

    A vocabulary other than CLIP's needs `text_cfg.hf_tokenizer_name` besides.
    """
    model_cfg = open_clip_config(config)
    prefix = IN_CUSTOM_TEXT if model_cfg.get("custom_text") else ""
    return model_cfg, to_open_clip_state(_model_rules(config, prefix=prefix), state)


def to_transformers(
    model_cfg: Mapping[str, Any], state: State, *, vision_only: bool = False
) -> tuple[Config, dict[str, Tensor]]:
    """The way back: `config["architectures"]` names transformers' class; raises `UserError` with
    the reason where it has none. `vision_only` leaves the text tower out, whatever it is."""
    config = transformers_config(model_cfg, vision_only=vision_only)
    if vision_only:
        layers, siglip = config["num_hidden_layers"], config["model_type"].startswith("siglip")
        rules = siglip_vision_rules(layers) if siglip else clip_vision_rules(layers)
        state = {name: value for name, value in state.items() if name.startswith("visual.")}
        return config, to_transformers_state(rules, state)
    if config["model_type"] == "siglip" and "logit_bias" not in state:
        state = {**state, "logit_bias": torch.zeros_like(state["logit_scale"])}  # adds nothing
    prefix = IN_CUSTOM_TEXT if any(name.startswith(IN_CUSTOM_TEXT) for name in state) else ""
    return config, to_transformers_state(_model_rules(config, prefix=prefix), state)


def _model_rules(config: Mapping[str, Any], *, prefix: str) -> list[Rule]:
    text, vision = (part["num_hidden_layers"] for part in parts(config))
    if config["model_type"] == "siglip":
        scales = scale_rules("logit_scale", "logit_bias", scalar=False)
        return [*siglip_vision_rules(vision), *siglip_text_rules(text, prefix=prefix), *scales]
    scales = scale_rules("logit_scale", scalar=True)
    return [*clip_vision_rules(vision), *clip_text_rules(text, prefix=prefix), *scales]
