"""Which weight of transformers' CLIPModel and SiglipModel is which weight of open_clip's models."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cloc.errors import UserError

State = Mapping[str, Tensor]
IGNORED = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")
AFFINE = ("weight", "bias")


class Rule(NamedTuple):
    """The rows of `ours`, one tensor after the other, are the rows of `theirs`."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    shares: tuple[int, ...] = (1,)  # of the side that has several tensors, in rows
    ours_is: str = ""  # what theirs becomes on the way: transposed, batched or scalar


def to_open_clip_state(rules: Sequence[Rule], state: State) -> dict[str, Tensor]:
    """Bit by bit, in the file's own precision; raises `UserError` for a weight that is missing or
    that has no place in an open_clip model."""
    found = {name: value for name, value in state.items() if name not in IGNORED}
    _same_names({name for rule in rules for name in rule.theirs}, set(found), "config.json")
    return {
        name: _reshaped(value, rule.ours_is, ours=True)
        for rule in rules
        for name, value in _divided(rule.theirs, rule.ours, rule, found)
    }


def to_transformers_state(rules: Sequence[Rule], state: State) -> dict[str, Tensor]:
    """The way back; a weight that transformers' class has no place for is a `UserError`."""
    _same_names({name for rule in rules for name in rule.ours}, set(state), "transformers' class")
    changed = {
        name: _reshaped(state[name], rule.ours_is, ours=False)
        for rule in rules
        for name in rule.ours
    }
    return {
        name: value
        for rule in rules
        for name, value in _divided(rule.ours, rule.theirs, rule, changed)
    }


def _same_names(wanted: set[str], found: set[str], holder: str) -> None:
    missing, unknown = sorted(wanted - found), sorted(found - wanted)
    if missing:
        raise UserError(f"{holder} needs {_listed(missing)}, which the weights lack")
    if unknown:
        raise UserError(f"{holder} has no place for the weights {_listed(unknown)}")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _divided(
    source: tuple[str, ...], target: tuple[str, ...], rule: Rule, state: State
) -> list[tuple[str, Tensor]]:
    values = [state[name] for name in source]
    if len(target) > len(source):
        [whole] = values
        unit = len(whole) // sum(rule.shares)
        values = list(whole.split([share * unit for share in rule.shares]))
    elif len(source) > 1:
        values = [torch.cat(values)]
    return list(zip(target, values, strict=True))


def _reshaped(value: Tensor, ours_is: str, *, ours: bool) -> Tensor:
    if ours_is == "transposed":
        return value.t().contiguous()
    if ours_is == "batched":
        return value[None] if ours else value[0]
    if ours_is == "scalar":
        return value.reshape(()) if ours else value.reshape(1)
    return value.reshape(()) if ours_is == "always scalar" else value


def clip_vision_rules(layers: int) -> list[Rule]:
    """CLIPVisionModelWithProjection and open_clip's own ViT."""
    ours, theirs = "visual", "vision_model"
    return [
        _one(f"{ours}.class_embedding", f"{theirs}.embeddings.class_embedding"),
        _one(f"{ours}.positional_embedding", f"{theirs}.embeddings.position_embedding.weight"),
        _one(f"{ours}.conv1.weight", f"{theirs}.embeddings.patch_embedding.weight"),
        *_module(f"{ours}.ln_pre", f"{theirs}.pre_layrnorm"),  # their spelling
        *_native_blocks(f"{ours}.transformer", theirs, layers),
        *_module(f"{ours}.ln_post", f"{theirs}.post_layernorm"),
        _one(f"{ours}.proj", "visual_projection.weight", "transposed"),
    ]


def clip_text_rules(layers: int, *, prefix: str) -> list[Rule]:
    """CLIPTextModel and open_clip's text tower, which lies in `text.` of a CustomTextCLIP."""
    projection = _one(f"{prefix}text_projection", "text_projection.weight", "transposed")
    return [*_text(prefix, layers), projection]


def siglip_vision_rules(layers: int) -> list[Rule]:
    """SiglipVisionModel and timm's ViT without a class token, pooled by attention."""
    ours, theirs = "visual.trunk", "vision_model"
    pool, head = f"{ours}.attn_pool", f"{theirs}.head"
    return [
        _one(f"{ours}.pos_embed", f"{theirs}.embeddings.position_embedding.weight", "batched"),
        *_module(f"{ours}.patch_embed.proj", f"{theirs}.embeddings.patch_embedding"),
        *(rule for layer in range(layers) for rule in _timm_block(ours, theirs, layer)),
        *_module(f"{ours}.norm", f"{theirs}.post_layernorm"),
        _one(f"{pool}.latent", f"{head}.probe"),
        *(
            Rule((f"{pool}.q.{x}", f"{pool}.kv.{x}"), (f"{head}.attention.in_proj_{x}",), (1, 2))
            for x in AFFINE
        ),
        *_module(f"{pool}.proj", f"{head}.attention.out_proj"),
        *_module(f"{pool}.norm", f"{head}.layernorm"),
        *_module(f"{pool}.mlp.fc1", f"{head}.mlp.fc1"),
        *_module(f"{pool}.mlp.fc2", f"{head}.mlp.fc2"),
    ]


def siglip_text_rules(layers: int, *, prefix: str) -> list[Rule]:
    """SiglipTextModel and the same text tower with a bias in its projection."""
    return [*_text(prefix, layers), *_module(f"{prefix}text_projection", "text_model.head")]


def scale_rules(*names: str, scalar: bool) -> list[Rule]:
    """Temperature and bias: a number in CLIPModel, a vector of length 1 in SiglipModel."""
    return [_one(name, name, "always scalar" if scalar else "scalar") for name in names]


def _one(ours: str, theirs: str, ours_is: str = "") -> Rule:
    return Rule((ours,), (theirs,), ours_is=ours_is)


def _module(ours: str, theirs: str) -> list[Rule]:
    return [_one(f"{ours}.{x}", f"{theirs}.{x}") for x in AFFINE]


def _text(prefix: str, layers: int) -> list[Rule]:
    theirs = "text_model"
    return [
        _one(f"{prefix}token_embedding.weight", f"{theirs}.embeddings.token_embedding.weight"),
        _one(f"{prefix}positional_embedding", f"{theirs}.embeddings.position_embedding.weight"),
        *_native_blocks(f"{prefix}transformer", theirs, layers),
        *_module(f"{prefix}ln_final", f"{theirs}.final_layer_norm"),
    ]


def _native_blocks(ours: str, theirs: str, layers: int) -> list[Rule]:
    return [
        rule
        for layer in range(layers)
        for rule in _native_block(f"{ours}.resblocks.{layer}", f"{theirs}.encoder.layers.{layer}")
    ]


def _native_block(ours: str, theirs: str) -> list[Rule]:
    return [
        *_three(f"{ours}.attn.in_proj_", theirs),
        *_module(f"{ours}.attn.out_proj", f"{theirs}.self_attn.out_proj"),
        *_module(f"{ours}.ln_1", f"{theirs}.layer_norm1"),
        *_module(f"{ours}.ln_2", f"{theirs}.layer_norm2"),
        *_module(f"{ours}.mlp.c_fc", f"{theirs}.mlp.fc1"),
        *_module(f"{ours}.mlp.c_proj", f"{theirs}.mlp.fc2"),
    ]


def _timm_block(ours: str, theirs: str, layer: int) -> list[Rule]:
    ours, theirs = f"{ours}.blocks.{layer}", f"{theirs}.encoder.layers.{layer}"
    return [
        *_three(f"{ours}.attn.qkv.", theirs),
        *_module(f"{ours}.attn.proj", f"{theirs}.self_attn.out_proj"),
        *_module(f"{ours}.norm1", f"{theirs}.layer_norm1"),
        *_module(f"{ours}.norm2", f"{theirs}.layer_norm2"),
        *_module(f"{ours}.mlp.fc1", f"{theirs}.mlp.fc1"),
        *_module(f"{ours}.mlp.fc2", f"{theirs}.mlp.fc2"),
    ]


def _three(ours: str, theirs: str) -> list[Rule]:
    """Queries, keys and values are one tensor of ours."""
    return [
        Rule((f"{ours}{x}",), tuple(f"{theirs}.self_attn.{y}_proj.{x}" for y in "qkv"), (1, 1, 1))
        for x in AFFINE
    ]
