"""Anybody's encoder, opened to be looked into: its image tower's layers, or its patches alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from cloc.errors import UserError
from cloc.eval.diagnosis.layers import Grid, Layers, Look, Tokens
from cloc.eval.encoders.coca import CoCa
from cloc.eval.encoders.encoder import Encoder
from cloc.eval.encoders.naflex import NaFlex
from cloc.eval.encoders.onnx import Graphs

GROUPS = ("blocks", "stages", "layers")  # timm's names for what follows each other
STEPS = ("layer1", "layer2", "layer3", "layer4")  # of ResNets


@dataclass(frozen=True)
class Patches:
    """An encoder that shows its last patches and nothing before them. `inside` says why."""

    tokens: Callable[[Tensor], tuple[Tensor, Grid]]
    inside: str
    squares: bool = False

    def look(self, x: Tensor, on_shares: Any = None) -> Look:
        tokens, grid = self.tokens(x)
        return Look({"patches": Tokens(tokens, tokens[:, :0], grid)})


def opened(encoder: Encoder) -> Layers | Patches:
    """`UserError` for an encoder that has no patches to look at."""
    embedder: Any = encoder.embedder
    if encoder.model is not None:
        return _of_tower(encoder.model.tower, embedder.images)
    if isinstance(embedder, CoCa):
        return _of_native(embedder.model.visual, embedder.images)
    if isinstance(embedder, NaFlex):
        return _of_naflex(embedder)
    if isinstance(embedder, Graphs):
        return Patches(embedder.patch_tokens, "an ONNX graph shows its last tokens alone")
    if callable(getattr(embedder, "patches", None)):
        inside = "an encoder of yours shows what its patches(x) gives, and no layer before"
        return Patches(embedder.patches, inside)
    raise UserError(
        f"{encoder.name} has no patches(x), so it has no tokens to look at; give it one that "
        "returns ([b, rows * columns, d], (rows, columns))"
    )


def _of_tower(tower: Any, run: Callable[[Tensor], Any]) -> Layers:
    visual = tower.clip.visual
    if isinstance(visual, ModifiedResNet):
        blocks = [getattr(visual, name) for name in STEPS]
        return Layers(run=run, tower=visual, blocks=blocks, grid=tower.grid, num_prefix=0)
    if not hasattr(visual, "trunk"):
        return _of_native(visual, run)
    trunk = visual.trunk
    blocks = _blocks(trunk)
    if not blocks:
        raise UserError(
            f"it is not known which parts of {type(trunk).__name__} follow each other; choose a "
            "ViT, EVA02, SigLIP, ConvNeXt, ResNet, EfficientNet or Swin"
        )
    norm = getattr(trunk, "norm", None)
    return Layers(
        run=run,
        tower=trunk,
        blocks=blocks,
        grid=tower.grid,
        num_prefix=getattr(trunk, "num_prefix_tokens", 0),
        norm=None if isinstance(norm, nn.Identity) else norm,
        stem=getattr(trunk, "patch_embed", None),
        embedded=getattr(trunk, "norm_pre", None),
        channels_last=getattr(trunk, "output_fmt", None) == "NHWC",
    )


def _blocks(trunk: nn.Module) -> list[nn.Module]:
    for name in GROUPS:
        group = getattr(trunk, name, None)
        if isinstance(group, nn.ModuleList | nn.Sequential) and len(group):
            return list(group)
    return [getattr(trunk, name) for name in STEPS if hasattr(trunk, name)]


def _of_native(visual: Any, run: Callable[[Tensor], Any]) -> Layers:
    """open_clip's own Vision Transformer; where a pooler of queries follows, as in CoCa, its last
    norm is behind that."""
    return Layers(
        run=run,
        tower=visual,
        blocks=list(visual.transformer.resblocks),
        grid=tuple(visual.grid_size),
        num_prefix=1,
        norm=visual.ln_post if visual.attn_pool is None else None,
        stem=visual.conv1,
        embedded=visual.ln_pre,
    )


def _of_naflex(embedder: NaFlex) -> Layers:
    """Of square pictures: every other shape has a grid of its own."""
    vision = embedder.model.vision_model
    square = embedder.prepare([PIL.Image.new("RGB", (64, 64))], [np.zeros((0, 4))]).images
    rows, columns = square[0, 0, -2:].long().tolist()
    return Layers(
        run=embedder.images,
        tower=vision,
        blocks=list(vision.encoder.layers),
        grid=(rows, columns),
        num_prefix=0,
        norm=vision.post_layernorm,
        stem=vision.embeddings.patch_embedding,
        embedded=vision.embeddings,
        embedded_is_input=False,
        squares=True,
    )
