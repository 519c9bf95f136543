"""What a weight is to its network: read off the module that holds it and its name there, because
shapes do not tell. A table of 49,408 tokens, a projection and a matrix between two layers all have
two axes."""

import re

from torch import nn
from torch.nn.modules.conv import _ConvNd

MATRIX = "matrix"  # between two layers
INPUT = "input"  # of tokens, or the first layer on pixels
OUTPUT = "output"  # the last layer: a projection into the joint space, the corners of a box
FILTER = "filter"  # of a convolution in groups: one small kernel a channel, no matrix
TABLE = "table"  # positions, classes, registers, queries, biases between places
SCALE = "scale"  # biases, norms, temperatures, gains

# open_clip, Hugging Face's BERT and T5; every other embedding is a table
TOKENS = {"token_embedding", "word_embeddings", "embed_tokens", "shared"}
# whole sub-modules that give positions (timm: Swin v2, relative positions, RoPE; EdgeNeXt, ConViT,
# and a lambda network's filter over distances)
PLACES = {
    *("cpb_mlp", "rel_pos", "rel_pos_bias", "shared_rel_pos", "pos_embed", "rope"),
    *("pos_embd", "pos_proj", "conv_lambda"),
    "relative",  # ours (cloc.models.positions)
}
FIRST = (
    *("patch_embed.proj", "embeds.proj"),
    # on pixels laid out as channels: blocks of four by four (TResNet), frequencies (CSATv2)
    *("body.conv1.conv", "stem_dct.conv_y", "stem_dct.conv_cb", "stem_dct.conv_cr"),
)
COLOURS = 3
_LAST = re.compile(
    r"(?:(?:^|\.)text_projection|visual\.proj|visual\.attnpool\.c_proj|visual\.head\..+"
    r"|visual\.trunk\.(?:head|head_dist|fc|classifier)(?:\..+)?|\.text\.proj(?:\.\d+)?"
    r"|region_head\.project|box_head\.mlp\.2)$"
)


def roles(model: nn.Module) -> dict[str, str]:
    """Of every parameter of `model`, by its name there."""
    found = {}
    for full, parameter in model.named_parameters():
        path, _, name = full.rpartition(".")
        found[full] = _role(path, model.get_submodule(path), name, parameter)
    return found


def _role(path: str, module: nn.Module, name: str, parameter: nn.Parameter) -> str:
    if parameter.ndim < 2 or _is_norm(module):
        return SCALE
    words = path.split(".")
    if "weight" not in name:  # it stands by itself: no layer's, but for a projection
        return OUTPUT if _LAST.search(f"{path}.{name}") else _alone(name)
    if isinstance(module, nn.Embedding):
        return INPUT if words[-1] in TOKENS else TABLE
    if PLACES & set(words):
        return TABLE
    if _LAST.search(path):
        return OUTPUT
    return _layer(path, module)


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower()


def _alone(name: str) -> str:
    """A gain of a feature map has its channels' axes, `[c, 1, 1]`."""
    return SCALE if name.startswith(("gamma", "logit_scale")) else TABLE


def _layer(path: str, module: nn.Module) -> str:
    if path.endswith(FIRST):
        return INPUT
    if isinstance(module, _ConvNd):
        if module.in_channels == COLOURS and module.groups == 1:
            return INPUT
        return MATRIX if module.groups == 1 else FILTER
    return MATRIX
