"""The attention of a language model of transformers, looked at and changed where it is computed."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.decoder.vlm.vlm import VLM
from cloc.errors import UserError

STRANGE = ("softcap", "s_aux", "position_bias")  # what changes logits or shares by other rules
_numbers = count()


class Attended(NamedTuple):
    """What a layer attends with; keys and values that heads share are there for each head."""

    layer: int
    query: Float[Tensor, "b h n d"]  # logits are of query and key, over the root of d
    key: Float[Tensor, "b h m d"]
    value: Float[Tensor, "b h m e"]
    sees: Bool[Tensor, "#b one n m"]


Through = Callable[[Attended, Float[Tensor, "b n h e"]], Float[Tensor, "b n h e"]]


@contextmanager
def attending(vlm: VLM, through: Through) -> Iterator[None]:
    """While it lasts, what each layer of the language model found for a prompt passes `through`,
    which may change it. Tokens that are generated one by one do not, nor does the image tower.
    `UserError` where nothing of the model was called, and for logits by other rules."""
    functions, masks = _functions(), _masks()
    name, config = f"cloc_{next(_numbers)}", vlm.language.config
    before: Any = config._attn_implementation
    seen = []

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **more: Any
    ) -> Any:
        own = functions.get_interface(before, _eager_of(module))
        found, weights = own(module, query, key, value, mask, **more)
        seen.append(module)
        if query.shape[2] > 1:
            if told := [rule for rule in STRANGE if more.get(rule) is not None]:
                raise UserError(f"vlm={vlm.name}: its attention has {told[0]}, which is not known")
            found = through(_attended(module, query, key, value, mask, more.get("scaling")), found)
        return found, weights

    functions.register(name, attend)
    if before in masks:
        masks.register(name, masks[before])
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before
        functions._global_mapping.pop(name)  # there is no public way
        masks._global_mapping.pop(name, None)
    if not seen:
        raise UserError(
            f"vlm={vlm.name}: {type(vlm.language).__name__} has an attention of its own, which "
            "transformers' AttentionInterface does not reach; give another model"
        )


def _attended(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, scaling: float | None
) -> Attended:
    groups = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(groups, 1) for part in (key, value))
    by = 1.0 if scaling is None else scaling * query.shape[-1] ** 0.5
    query = query if abs(by - 1) < 1e-6 else query * by
    n, m = query.shape[2], key.shape[2]
    if mask is None:
        sees = torch.ones(n, m, dtype=torch.bool, device=query.device).tril(m - n)[None, None]
    else:
        mask = mask[..., :m]
        sees = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
    return Attended(module.layer_idx, query, key, value, sees)


def _eager_of(module: Any) -> Any:
    """The plain function that stands beside the layer's class."""
    return getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)


def _functions() -> Any:
    return import_module("transformers.modeling_utils").ALL_ATTENTION_FUNCTIONS


def _masks() -> Any:
    return import_module("transformers.masking_utils").ALL_MASK_ATTENTION_FUNCTIONS
