"""What a vision tower has before its pooler: tokens in a grid, whatever kind of tower it is.

One class per kind, all with the same surface: `width` and `grid` of the tokens, `step` in pixels
from one to the next, `grid_at` another size of the input, `run`, `project`.
Tokens are what the pooler gets, so they are normalised where the tower normalises before pooling
(class-token and attention-pooled ViTs, Swin) and not where it does so afterwards (ConvNeXt and ViTs
with `fc_norm`) or never (ResNet, FastViT).
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from timm.models.eva import Eva
from timm.models.naflexvit import NaFlexVit
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.func import functional_call

from cloc.errors import UserError
from cloc.models.dividing import divided, rounds_up
from cloc.models.positions.absolute import Kernel, resample
from cloc.models.readout import beside, indices_of, refuse_depth
from cloc.models.vit_refusals import refuse_vit

POOLS_BY_ATTENTION = (
    "this tower pools by attention, so a single patch has no embedding of its own; measure it with "
    "the crop extractor instead of roi"
)

# Tokens, the pooled embedding (not unit length), and several layers' tokens side by side.
Run = tuple[Float[Tensor, "b p w"], Float[Tensor, "b d"], Float[Tensor, "b p v"] | None]


class PlainViT:
    """open_clip's own Vision Transformer."""

    layers: Sequence[int] = ()  # blocks whose tokens are given side by side, from 1

    def __init__(self, visual: Any, kernel: Kernel) -> None:
        refuse_vit(visual)
        self.visual = visual
        self.width: int = visual.transformer.width
        self.grid: tuple[int, int] = tuple(visual.grid_size)
        self.step: int = visual.patch_size[0]
        self.tables = _Tables(visual, "positional_embedding", self.grid, kernel)

    def grid_at(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the tokens of an input of so many pixels."""
        return divided((height, width), self.step, self.visual)

    def run(self, x: Tensor) -> Run:
        """Tokens row by row without the class token, the pooled embedding, not unit length, and the
        tokens of `layers`, each behind the last norm; None where there are none.

        At another size than the tower's own its positions are resampled.
        """
        depth = len(self.visual.transformer.resblocks)
        out = self.tables.call(
            lambda visual: visual.forward_intermediates(
                x,
                indices=indices_of(self.layers, depth),
                normalize_intermediates=True,
                output_fmt="NLC",
            ),
            self.grid_at(*x.shape[2:]),
        )
        found = out["image_intermediates"]
        return found[-1], out["image_features"], beside(found, self.layers)

    def read(self, layers: Sequence[int], *, key: str) -> None:
        """From here on `run` gives the tokens of these blocks too; `UserError` for one that is not
        there."""
        refuse_depth(layers, len(self.visual.transformer.resblocks), key=key)
        self.layers = tuple(layers)

    def project(self, tokens: Float[Tensor, "b p w"]) -> Float[Tensor, "b p d"]:
        """Each token by itself as the pooler's projection would have it."""
        proj = self.visual.proj
        return tokens if proj is None else tokens @ proj.to(tokens.dtype)


class ResNet:
    """OpenAI's ResNets: the last feature map, which an attention pools."""

    step = 32

    def __init__(self, visual: Any, kernel: Kernel) -> None:
        self.visual = visual
        self.width: int = visual.attnpool.positional_embedding.shape[1]
        self.grid = divided(visual.image_size, self.step, visual)
        self.tables = _Tables(visual, "attnpool.positional_embedding", self.grid, kernel)

    def grid_at(self, height: int, width: int) -> tuple[int, int]:
        """See `PlainViT.grid_at`."""
        return divided((height, width), self.step, self.visual)

    def run(self, x: Tensor) -> Run:
        """See `PlainViT.run`."""
        out = self.tables.call(
            lambda visual: visual.forward_intermediates(x, indices=1), self.grid_at(*x.shape[2:])
        )
        tokens = out["image_intermediates"][-1].flatten(2).transpose(1, 2)
        return tokens, out["image_features"], None

    def project(self, tokens: Float[Tensor, "b p w"]) -> Float[Tensor, "b p d"]:
        """Refused."""
        raise UserError(POOLS_BY_ATTENTION)


class Trunk:
    """Any timm tower inside open_clip's wrapper: transformers, hybrids and convolutional ones."""

    layers: Sequence[int] = ()  # see `PlainViT.layers`

    def __init__(self, visual: Any, kernel: Kernel) -> None:
        self.visual, self.trunk = visual, visual.trunk
        self.width: int = self.trunk.num_features
        self.num_prefix: int = getattr(self.trunk, "num_prefix_tokens", 0)
        self.channels_last = getattr(self.trunk, "output_fmt", None) == "NHWC"
        grid: Any = getattr(getattr(self.trunk, "patch_embed", None), "grid_size", None)
        self.any_size = isinstance(self.trunk, NaFlexVit)  # it resamples its positions itself
        self.flat = self.any_size or (grid is not None and not self.channels_last)
        self.up = not self.flat and rounds_up(self.trunk)
        if self.any_size:
            self.step: int = self.trunk.embeds.patch_size[0]
        elif self.flat:
            self.step = visual.image_size[0] // grid[0]
        else:
            self.step = self._reduction()
        own = self.flat and not self.any_size
        self.grid: tuple[int, int] = tuple(grid) if own else self._divided(*visual.image_size)
        self.tables: _Tables | None = None
        if type(self.trunk) is VisionTransformer and self.trunk.pos_embed is not None:
            self.trunk.patch_embed.strict_img_size = False  # the positions are resampled
            self.tables = _Tables(visual, "trunk.pos_embed", self.grid, kernel)

    def _reduction(self) -> int:
        info = getattr(self.trunk, "feature_info", None)
        if not info or "reduction" not in info[-1]:
            raise UserError(
                f"it is not known how {type(self.trunk).__name__} divides an image; choose a "
                "ViT, ConvNeXt, Swin or FastViT tower"
            )
        return int(info[-1]["reduction"])

    def _divided(self, height: int, width: int) -> tuple[int, int]:
        return divided((height, width), self.step, self.trunk, up=self.up)

    def grid_at(self, height: int, width: int) -> tuple[int, int]:
        """See `PlainViT.grid_at`; the own size alone for what is neither a plain ViT nor
        convolutional."""
        own = self.visual.image_size
        if (height, width) == tuple(own):
            return self.grid
        if self.tables is None and not self.any_size and (self.flat or self.channels_last):
            raise UserError(
                f"{type(self.trunk).__name__} takes {own[0]}x{own[1]} pixels, not {height}x{width}:"
                f" its positions are no table; set model.tower.image_size=[{height},{width}]"
            )
        return self._divided(height, width)

    def run(self, x: Tensor) -> Run:
        """See `PlainViT.run`."""
        grid = self.grid_at(*x.shape[2:])
        if self.tables is None:
            features, found = self._features(self.trunk, x)
        else:
            features, found = self.tables.call(lambda v: self._features(v.trunk, x), grid)
        pooled = self.visual.head(self.trunk.forward_head(features))
        if self.flat:
            return features[:, self.num_prefix :], pooled, beside(found, self.layers)
        if self.channels_last:
            return features.flatten(1, 2), pooled, None
        if features.ndim != 4:
            name, shape = type(self.trunk).__name__, list(features.shape)
            raise UserError(f"{name} gives {shape}, no map of features; choose a ViT or ConvNeXt")
        return features.flatten(2).transpose(1, 2), pooled, None

    def _features(self, trunk: Any, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        if not self.layers:
            return trunk.forward_features(x), []
        found: tuple[Tensor, list[Tensor]] = trunk.forward_intermediates(
            x, indices=indices_of(self.layers, len(trunk.blocks)), norm=True, output_fmt="NLC"
        )
        return found

    def read(self, layers: Sequence[int], *, key: str) -> None:
        """See `PlainViT.read`; before it is built, `refuse_layers` has refused other trunks."""
        assert isinstance(self.trunk, VisionTransformer | Eva)
        refuse_depth(layers, len(self.trunk.blocks), key=key)
        self.layers = tuple(layers)

    def project(self, tokens: Float[Tensor, "b p w"]) -> Float[Tensor, "b p d"]:
        """See `PlainViT.project`."""
        if getattr(self.trunk, "attn_pool", None) is not None:
            raise UserError(POOLS_BY_ATTENTION)
        alone = tokens.flatten(0, 1)
        if self.flat:  # as if every token were the one that is pooled
            one = self.trunk.head(self.trunk.fc_norm(alone))
        elif self.channels_last:
            one = self.trunk.forward_head(alone[:, None, None])
        else:
            one = self.trunk.forward_head(alone[:, :, None, None])
        projected: Tensor = self.visual.head(one).unflatten(0, tokens.shape[:2])
        return projected


Unpooled = PlainViT | ResNet | Trunk


def unpooled(visual: Any, kernel: Kernel) -> Unpooled:
    """The right one for open_clip's `visual`; `UserError` where there is none."""
    if hasattr(visual, "trunk"):
        return Trunk(visual, kernel)
    if isinstance(visual, ModifiedResNet):
        return ResNet(visual, kernel)
    if hasattr(visual, "transformer"):
        return PlainViT(visual, kernel)
    raise UserError(f"{type(visual).__name__} gives no patch tokens; choose a ViT tower")


class _Tables:
    """A tower's table of positions, resampled where an input has another grid than its own."""

    def __init__(self, visual: nn.Module, name: str, grid: tuple[int, int], kernel: Kernel) -> None:
        self.visual, self.name, self.grid, self.kernel = visual, name, grid, kernel

    def call(self, run: Callable[[Any], Any], grid: tuple[int, int]) -> Any:
        """`run(visual)`, during which the positions are those of `grid`."""
        if grid == self.grid:
            return run(self.visual)
        table: Any = attrgetter(self.name)(self.visual)  # a fixed one is no parameter
        fitted = resample(table, old=self.grid, new=grid, kernel=self.kernel)
        return functional_call(_Run(self.visual, run), {f"visual.{self.name}": fitted})


class _Run(nn.Module):
    """Any call of a module as a forward, which is what `functional_call` calls."""

    def __init__(self, visual: nn.Module, run: Callable[[Any], Any]) -> None:
        super().__init__()
        self.visual, self.run = visual, run

    def forward(self) -> Any:
        return self.run(self.visual)
