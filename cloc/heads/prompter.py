"""The Prompter: a box or a phrase asks the un-pooled tokens of its image for one embedding.

CLOC (arXiv 2410.02746), section 3.2 and appendix B.1. One pre-norm transformer layer of the tower's
width over [prompt tokens; image tokens], then its own pooling and projection. A box is two tokens,
the sinusoidal encodings of its corners; a phrase is one token, its text embedding made as wide as
the tower. Both go through the same weights.

Exports trace this file with a free number of images, prompts, rows and columns: `len` would fix one
of them, and ONNX has no `repeat_interleave` by such a number.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cloc.errors import UserError
from cloc.heads.shared import places
from cloc.heads.shared.norm_balance import Loudness, make_balance
from cloc.numerics import upcast


class Prompter(nn.Module):
    """`pool: tokens` averages all output tokens, the paper's text read literally; one full pass per
    prompt. `pool: prompt` averages the outputs at the prompt's own tokens, for which the keys and
    values of the image are computed once for all prompts: the same numbers as a full pass per
    prompt read at those tokens, at a fraction of the cost.

    `join_corners` adds a linear map of the other corner's encoding to each corner token. Without it
    a single layer's query knows one corner only and can attend to a quadrant, not to a box: the sum
    of two one-corner terms in the exponent of a softmax is a box, one of them is not.

    `phrases=False` leaves out the adaptor that text prompts need: without a grounding loss it would
    be a parameter without gradient, which DDP refuses. `patch_positions` adds the patch centres'
    encodings, in the basis of the corners, to the image tokens. `max_cycles` is the finest wave of
    the encoding, in cycles per image side.

    `layers` says that image tokens are those of so many layers side by side (arXiv 2503.17349,
    "multilayer"), brought to the width by a linear map. `norm_balance` (`make_balance`) gives each
    image token the norm of a place's encoding, times its ratio, before places are added.
    """

    def __init__(  # noqa: PLR0913 - each is a key of a configuration
        self,
        width: int,
        dim: int,
        *,
        num_heads: int = 1,
        pool: str = "prompt",
        patch_positions: bool = True,
        join_corners: bool = True,
        phrases: bool = True,
        mlp_ratio: float = 4.0,
        max_cycles: float = places.MAX_CYCLES,
        layers: Sequence[int] | None = None,
        norm_balance: Any = None,
    ) -> None:
        super().__init__()
        if pool not in ("prompt", "tokens"):
            raise UserError(f"model.region_head.pool={pool!r}; choose prompt or tokens")
        if num_heads < 1 or width % 4 or width % num_heads:
            raise UserError(
                f"the Prompter is as wide as the tower, {width}, which must be divisible by 4 and "
                f"by model.region_head.num_heads={num_heads}"
            )
        self.num_heads, self.pool, self.patch_positions = num_heads, pool, patch_positions
        hidden = int(width * mlp_ratio)
        self.corners = nn.Parameter(0.02 * torch.randn(2, width))  # which corner a token is
        self.join = nn.Linear(width, width) if join_corners else None
        self.adapt = nn.Linear(dim, width) if phrases else None
        self.norm_attend = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attend_out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.norm_out = nn.LayerNorm(width)
        self.project = nn.Linear(width, dim, bias=False)
        self.layers = None if layers is None else list(layers)
        self.gather = None if layers is None else nn.Linear(len(layers) * width, width)
        self.loudness = _loudness(norm_balance, is_heard=pool == "tokens" or patch_positions)
        self.num_waves, self.max_cycles = width // 4, max_cycles

    def forward(
        self,
        tokens: Float[Tensor, "b p w"],
        boxes: Float[Tensor, "b r 4"] | None,
        phrases: Float[Tensor, "b g d"] | None,
        *,
        grid: tuple[int, int],
        kept: Int[Tensor, "b p"] | None = None,
    ) -> tuple[Float[Tensor, "b r d"] | None, Float[Tensor, "b g d"] | None]:
        """An embedding per box and one per phrase, not unit length; None for what was not asked.

        `phrases` are unit text embeddings. A prompt's answer does not depend on other prompts.
        `kept` says which patches of the grid `tokens` are, where some were left out.
        """
        tokens = self._balanced(tokens if self.gather is None else self.gather(tokens))
        if self.patch_positions:
            own = self.encode(places.patch_centres(grid, tokens.device))
            tokens = tokens + (own if kept is None else own[kept]).to(tokens.dtype)
        answer = self._at_prompts if self.pool == "prompt" else self._over_all_tokens
        prompts = [
            None if boxes is None else self._corner_tokens(boxes),
            None if phrases is None else self._phrase_tokens(phrases),
        ]
        return answer(tokens, prompts)

    def _balanced(self, tokens: Float[Tensor, "b p w"]) -> Float[Tensor, "b p w"]:
        if self.loudness is None:
            return tokens
        units = F.normalize(upcast(tokens), dim=-1)
        level = units.new_tensor(2 * self.num_waves).sqrt()  # the norm of `encode`, at every place
        found: Tensor = units * self.loudness(level)
        return found.to(tokens.dtype)

    def _corner_tokens(self, boxes: Float[Tensor, "b r 4"]) -> Float[Tensor, "b r 2 w"]:
        own = self.encode(boxes.unflatten(-1, (2, 2)))
        tokens = own + self.corners
        if self.join is None:
            return tokens
        return tokens + self.join(own.flip(2).to(self.join.weight.dtype))

    def _phrase_tokens(self, phrases: Float[Tensor, "b g d"]) -> Float[Tensor, "b g 1 w"]:
        if self.adapt is None:
            raise UserError("this Prompter was built without text prompts; set model.box_head={}")
        return self.adapt(phrases.to(self.adapt.weight.dtype))[:, :, None]

    def encode(self, points: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n w"]:
        """Sinusoids of (x, y) in [0, 1], in float32 whatever the module's precision."""
        return places.encode(points, self.num_waves, self.max_cycles)

    def _at_prompts(
        self, tokens: Float[Tensor, "b p w"], prompts: list[Tensor | None]
    ) -> tuple[Tensor | None, Tensor | None]:
        """All prompts of an image in one attention: each sees the image and its own tokens."""
        asked = [p.to(tokens.dtype) for p in prompts if p is not None]
        if not asked:
            return None, None
        owner = torch.cat(
            [
                torch.arange(p.shape[1], device=tokens.device).repeat_interleave(p.shape[2]) + start
                for p, start in zip(asked, (0, asked[0].shape[1]), strict=False)
            ]
        )
        own = owner[:, None] == owner
        mask = torch.cat([own.new_ones(own.shape[0], tokens.shape[1]), own], 1)
        rows = torch.cat([p.flatten(1, 2) for p in asked], 1)
        out = self._layer(rows, torch.cat([tokens, rows], 1), mask)
        parts = out.split([p.shape[1] * p.shape[2] for p in asked], 1)
        answers = iter(
            self.project(self.norm_out(part.unflatten(1, p.shape[1:3])).mean(2))
            for part, p in zip(parts, asked, strict=True)
        )
        first, second = (None if p is None else next(answers) for p in prompts)
        return first, second

    def _over_all_tokens(
        self, tokens: Float[Tensor, "b p w"], prompts: list[Tensor | None]
    ) -> tuple[Tensor | None, Tensor | None]:
        """One full pass over [prompt; image] per prompt."""
        answers: list[Tensor | None] = []
        for prompt in prompts:
            if prompt is None:
                answers.append(None)
                continue
            count = prompt.shape[1]
            rows = torch.cat(
                [
                    prompt.to(tokens.dtype).flatten(0, 1),
                    tokens[:, None].expand(-1, count, -1, -1).flatten(0, 1),
                ],
                1,
            )
            out = self.norm_out(self._layer(rows, rows, None)).mean(1)
            answers.append(self.project(out).unflatten(0, (tokens.shape[0], count)))
        return answers[0], answers[1]

    def _layer(
        self,
        rows: Float[Tensor, "b q w"],
        seen: Float[Tensor, "b k w"],
        mask: Bool[Tensor, "q k"] | None,
    ) -> Float[Tensor, "b q w"]:
        """The transformer layer's output at `rows`, which attend to `seen` where `mask` is True."""
        weight, bias = self.query_key_value.weight, self.query_key_value.bias
        width = rows.shape[-1]
        query = F.linear(self.norm_attend(rows), weight[:width], bias[:width])
        key_value = F.linear(self.norm_attend(seen), weight[width:], bias[width:])
        key, value = key_value.chunk(2, -1)
        query, key, value = (
            x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in (query, key, value)
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        rows = rows + self.attend_out(attended.transpose(1, 2).flatten(2))
        return rows + self.mlp(self.norm_mlp(rows))


def _loudness(options: Any, *, is_heard: bool) -> Loudness | None:
    """Of a `norm_balance`, which `is_heard` where tokens are not only read behind a norm."""
    balance = make_balance(options, "model.region_head.norm_balance")
    if balance is None:
        return None
    if not is_heard:
        raise UserError(
            "model.region_head.norm_balance has no effect with pool=prompt and without "
            "patch_positions: image tokens are read behind a norm alone; leave one of them out"
        )
    return Loudness(balance)
