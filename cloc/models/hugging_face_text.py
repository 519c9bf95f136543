"""Text towers of Hugging Face inside open_clip: which there are, and what they read of a text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from open_clip.hf_configs import arch_dict
from open_clip.hf_model import _POOLERS, ClsLastHiddenStatePooler, ClsPooler
from torch import nn

from cloc.errors import UserError
from cloc.models.transformers_folder import CONFIG, read_json

# open_clip's maximum takes padding for words and words for padding, and no version of torch runs it
POOLERS = tuple(sorted(set(_POOLERS) - {"max_pooler"}))
PROJECTIONS = (None, "linear", "mlp")


def check_choices(text: Mapping[str, Any], folder: Path) -> None:
    """`UserError` for a `text_cfg` with an architecture (of `folder`), pooling or projection that
    open_clip has not."""
    path = folder / CONFIG
    kind = read_json(path, "").get("model_type") if path.is_file() else None
    if kind is not None and kind not in arch_dict:
        raise UserError(
            f"text_cfg.hf_model_name={text['hf_model_name']} is of the kind {kind!r}, which "
            f"open_clip has no text tower for; it has {', '.join(arch_dict)}"
        )
    for key, known in (("hf_pooler_type", (None, *POOLERS)), ("hf_proj_type", PROJECTIONS)):
        given = text.get(key)
        if given not in known:
            named = ", ".join("null" if value is None else value for value in known)
            raise UserError(f"text_cfg.{key}={given!r} is none that works; there are {named}")


def check_encoder(text: Any, context: int) -> None:
    """`UserError` where `text`, an `HFTextEncoder`, reads one token before it knows the others, has
    fewer positions than `context`, or gives another width than the joint space's."""
    first = isinstance(text.pooler, (ClsPooler, ClsLastHiddenStatePooler))
    config = text.config
    if first and config.is_decoder and not config.is_encoder_decoder:
        raise UserError(
            "the text tower is causal (is_decoder of its config.json) and is read at its first "
            "token, which knows no other: all texts would be the same; set "
            "text_cfg.hf_pooler_type=mean_pooler"
        )
    most = _positions(text.transformer)
    if most is not None and context > most:
        raise UserError(
            f"texts of {context} tokens, but the text tower has {most} positions; set "
            f"model.tower.context_length={most}"
        )
    if not hasattr(text, "proj"):  # open_clip makes none, and stops at the first text
        raise UserError(
            "text_cfg.hf_proj_type=null leaves the text tower at another width than embed_dim; set "
            "text_cfg.hf_proj_type=linear"
        )


def _positions(transformer: nn.Module) -> int | None:
    """None where they are relative, or go on for ever. RoBERTa's begin behind its padding's."""
    for name, module in transformer.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            padding = module.padding_idx
            return module.num_embeddings - (0 if padding is None else padding + 1)
    return None
