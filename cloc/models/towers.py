"""One small surface over open_clip models: un-pooled tokens, pooled embedding, text embedding.

The wrapped model is `tower.clip`, untouched, so its state dict is a drop-in open_clip checkpoint,
unless it was asked for other encodings of position than open_clip has (`cloc.models.positions`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from cloc import dist
from cloc.errors import UserError
from cloc.frame import WHITE, Colour, Framing, ImageSize, fitted, height_and_width
from cloc.heads.shared.norm_balance import Balance
from cloc.models.norm_balance import set_balance
from cloc.models.patch_dropout import PatchDropout
from cloc.models.positions.encodings import Positions, set_positions
from cloc.models.text_probe import check_text, encode_short, pooling
from cloc.models.tokenizers import decode, make_tokenizer
from cloc.models.unpooled import PlainViT, ResNet, unpooled
from cloc.numerics import upcast

MAX_LOG_SCALE = math.log(100)  # CLIP's cap on the temperature


class ImageFeatures(NamedTuple):
    """Of one image: every patch before the pooler and projection, and the pooled unit vector."""

    tokens: Float[Tensor, "b p w"]  # what the pooler gets; no class token
    pooled: Float[Tensor, "b d"]
    kept: Int[Tensor, "b p"] | None  # which patches these tokens are; None: all, row by row
    layers: Float[Tensor, "b p v"] | None = None  # of several blocks side by side, if asked for

    @property
    def read(self) -> Float[Tensor, "b p v"]:
        """What the region head reads."""
        return self.tokens if self.layers is None else self.layers


class Tower(nn.Module):
    """An open_clip image-text model as the rest of the project sees it.

    `model_config` is open_clip's own model configuration; `mean` and `std` are of pixels in [0, 1],
    `background` is what transparent pixels show. Together they are what an export writes. `folder`
    is where the model was read from, if it was; `own_framing` how its own preprocessing shows a
    picture, None where that is ours.
    """

    clip: Any  # open_clip's CLIP or CustomTextCLIP
    mean: Tensor
    std: Tensor
    max_log_scale: Tensor

    def __init__(
        self,
        clip: Any,
        *,
        model_config: Mapping[str, Any],
        mean: Sequence[float],
        std: Sequence[float],
        folder: Path | None = None,
        positions: Positions = Positions(),  # noqa: B008
        norm_balance: Balance | None = None,
        background: Colour = WHITE,
        own_framing: Framing | None = None,
    ) -> None:
        super().__init__()
        self.clip = clip
        self.model_config = dict(model_config)
        self.folder = folder
        # also as numbers: tensors have no values on the meta device
        self.preprocess = {"mean": _three("mean", mean), "std": _three("std", std)}
        for name, values in self.preprocess.items():
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        self.dim: int = self.model_config["embed_dim"]
        # not the text tower's own: Hugging Face's say how many positions they have, not how many
        # open_clip tokenizes
        self.context_length: int = self.model_config["text_cfg"].get("context_length", 77)
        self.positions, self.background = set_positions(clip.visual, positions), background
        set_balance(clip.visual, norm_balance)
        self.norm_balance = norm_balance
        self._unpooled = found = unpooled(clip.visual, positions.kernel)
        self.width, self.grid, self.step = found.width, found.grid, found.step
        self.image_size: ImageSize = _size(clip.visual.image_size)
        self.own_framing = fitted(own_framing, self.image_size)
        # CLIP keeps the text tower's parts on itself, CustomTextCLIP in `.text`
        self._text: Any = [getattr(clip, "text", clip)]  # a list, so it is not registered twice
        self.dropout: PatchDropout | None = None
        self.register_buffer("max_log_scale", None, persistent=False)
        self.set_cap()

    @property
    def short_text_exact(self) -> bool:
        """True where a text tokenized at a shorter length has the very same embedding.

        Holds for causal towers that read the end-of-text token: what follows it is never seen. That
        this is the token they read, and that padding follows it, is what `tokenizer` checks.
        """
        text = self._text[0]
        causal = getattr(text, "attn_mask", None) is not None
        reads_end = pooling(text)[0] in ("argmax", "eos")
        return causal and reads_end and getattr(text, "cls_emb", None) is None

    def images(self, pixels: UInt8[Tensor, "b 3 h w"]) -> ImageFeatures:
        """Normalises on the device and runs the vision tower once for both outputs.

        At another size than `image_size` where the tower can; positions are resampled then.
        """
        x = (pixels.to(self.mean.dtype) / 255 - self.mean) / self.std
        tokens, pooled, layers = self._unpooled.run(x)
        kept = None if self.dropout is None else self.dropout.kept
        return ImageFeatures(tokens, F.normalize(upcast(pooled), dim=-1), kept, layers)

    def read_layers(self, layers: Sequence[int], *, key: str) -> None:
        """From here on `images` gives the tokens of these blocks (from 1) side by side too, each
        behind the last norm; `UserError` for one that is not there, which names `key`."""
        assert not isinstance(self._unpooled, ResNet)  # refused before it is built
        self._unpooled.read(layers, key=key)

    def grid_at(self, pixels: UInt8[Tensor, "b 3 h w"]) -> tuple[int, int]:
        """Rows and columns of the tokens that `images` gives for these pixels."""
        return self._unpooled.grid_at(*pixels.shape[2:])

    def texts(self, tokens: Int[Tensor, "n t"]) -> Float[Tensor, "n d"]:
        """Unit vectors. `t` is the full context, or shorter where `short_text_exact`."""
        if tokens.shape[1] == self.context_length:
            out = self.clip.encode_text(tokens)
        elif tokens.shape[1] < self.context_length and self.short_text_exact:
            out = encode_short(self._text[0], tokens)
        else:
            raise UserError(
                f"texts of {tokens.shape[1]} tokens, but this tower is exact only at its full "
                f"context of {self.context_length}; set region_context=full"
            )
        return F.normalize(upcast(out), dim=-1)

    def dense(self, tokens: Float[Tensor, "b p w"]) -> Float[Tensor, "b p d"]:
        """Patch tokens through the image projection, not unit length: a plain CLIP's RoI line."""
        return self._unpooled.project(tokens)

    def scale(self) -> Float[Tensor, ""]:
        """Of image-text logits."""
        return dist.local(self.clip.logit_scale).exp().squeeze()

    def set_cap(self) -> None:
        """From here on a step of training leaves the scale at 100 at most, or at what it is now
        where that is more; one with a bias has no cap (SigLIP)."""
        self.max_log_scale = self.clip.logit_scale.detach().clamp(min=MAX_LOG_SCALE)

    @torch.no_grad()
    def cap_scale(self) -> None:
        """After a step, where the scale is trained. The parameter and not its use: so its gradient
        stays alive at the cap."""
        raw: Tensor = self.clip.logit_scale
        if raw.requires_grad and self.clip.logit_bias is None:
            dist.local(raw).clamp_(max=self.max_log_scale)

    def bias(self) -> Float[Tensor, ""] | None:
        """Of image-text logits; None for softmax towers."""
        bias: Tensor | None = self.clip.logit_bias
        return None if bias is None else dist.local(bias).squeeze()

    def train(self, mode: bool = True) -> "Tower":
        """A tower without a trainable weight stays in evaluation: no dropout, no new statistics."""
        super().train(mode)
        visual = self.clip.visual
        text = [child for child in self.clip.children() if child is not visual]
        for parts in ([visual], text):
            if not any(p.requires_grad for part in parts for p in part.parameters()):
                for part in parts:
                    part.eval()
        return self

    def drop_patches(self, frac: float) -> None:
        """From here on the image tower leaves out this share of the patches in training."""
        visual = self.clip.visual
        trunk: Any = getattr(visual, "trunk", None)
        plain = isinstance(self._unpooled, PlainViT) or type(trunk) is VisionTransformer
        if not plain:
            raise UserError(
                f"patch_dropout={frac}: it is not known which patches "
                f"{type(visual if trunk is None else trunk).__name__} drops; set patch_dropout=0"
            )
        num_prefix = 1 if trunk is None else trunk.num_prefix_tokens
        self.dropout = PatchDropout(frac, num_prefix=num_prefix).train(visual.training)
        if trunk is None:
            visual.patch_dropout = self.dropout
        else:
            trunk.patch_drop = self.dropout

    def recompute_blocks(self) -> None:
        """Activation checkpointing: a block keeps its input alone, and runs again in backward."""
        self.clip.set_grad_checkpointing(True)
        tower = getattr(self.clip.visual, "trunk", self.clip.visual)
        plain = isinstance(self._unpooled, PlainViT)
        if not plain and not getattr(tower, "grad_checkpointing", False):
            raise UserError(
                f"{type(tower).__name__} cannot recompute its blocks; set recompute=false"
            )

    def words(self, tokens: Sequence[int]) -> str:
        """Token ids back to text, without start, end and padding."""
        return decode(self._own_tokenizer, tokens)

    def tokenizer(self) -> Callable[[list[str], int], Int[Tensor, "n t"]]:
        """`tokenize(texts, context_length)` of this tower's own vocabulary; `UserError` where it
        gives tokens that the text tower has not, or that it would not read as texts."""
        tokenize = make_tokenizer(self.model_config, folder=self.folder)
        length, size = self.context_length, self.vocabulary
        check_text(self._text[0], tokenize, context=length, vocabulary=size)
        return tokenize

    @property
    def vocabulary(self) -> int:
        """How many tokens its texts may have."""
        text = self._text[0]
        own = getattr(text, "token_embedding", None)
        table = text.transformer.get_input_embeddings() if own is None else own
        return int(table.num_embeddings)

    @cached_property  # reading a vocabulary takes 0.2 s
    def _own_tokenizer(self) -> Any:
        return self.tokenizer()


def _three(name: str, given: Sequence[float]) -> list[float]:
    """Of pixels, wherever they come from: the command, a start, a folder of somebody else's."""
    found = [float(x) for x in given]
    if len(found) != 3 or not all(map(math.isfinite, found)) or (name == "std" and min(found) <= 0):
        kind = "positive" if name == "std" else "finite"
        raise UserError(
            f"model.tower.{name}={list(given)}: give three {kind} numbers, of red, green and blue "
            "in [0, 1]"
        )
    return found


def _size(size: ImageSize) -> ImageSize:
    """One number for a square."""
    height, width = height_and_width(size)
    return height if height == width else (height, width)
