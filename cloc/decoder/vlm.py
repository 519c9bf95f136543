"""An encoder, a connector and a language model: questions about a picture, answered in words."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from cloc.decoder.attention import Seen
from cloc.decoder.connector import Connector
from cloc.decoder.pin import PIN
from cloc.decoder.prefix_lm import PrefixLM, sight
from cloc.decoder.steer import AdaptVis, Steer


class VLM(nn.Module):
    """`tower` is a `cloc.models.towers.Tower`, whose patches (of one block or of several side by
    side, `read_layers`) come before the words, in one sequence. `pin` gives them places of its
    own."""

    def __init__(
        self, tower: Any, connector: Connector, language: PrefixLM, pin: PIN | None = None
    ) -> None:
        super().__init__()
        self.tower, self.connector, self.language, self.pin = tower, connector, language, pin

    def patches(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b p w"]:
        """In the stream of the decoder."""
        tokens = self.tower.images(images).read
        found: Tensor = self.connector(tokens if self.pin is None else self.pin(tokens))
        return found

    def forward(
        self,
        images: UInt8[Tensor, "b 3 h w"],
        tokens: Int[Tensor, "b t"],
        valid: Bool[Tensor, "b t"],
        *,
        share: Float[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b t v"]:
        """Logits of the token behind each of `tokens`; what stands in padded places (on the right)
        changes none of the others. `share` is of the old one of each twin."""
        found, _ = self._read(images, tokens, valid, share=share)
        return self.language.logits(found[:, -tokens.shape[1] :])

    @torch.no_grad()
    def answer(
        self,
        images: UInt8[Tensor, "b 3 h w"],
        tokens: Int[Tensor, "b t"],
        valid: Bool[Tensor, "b t"],
        *,
        most: int,
        end: int,
        steer: AdaptVis | None = None,
        share: Float[Tensor, " b"] | None = None,
    ) -> Int[Tensor, "b n"]:
        """The likeliest next token, and so on, until all have said `end` or `most` tokens; behind
        its `end` a row holds `end` alone. Patches and words are looked at once, or twice where
        `steer` asks first how sure the model is; it changes the first token's look alone."""
        counts = valid.sum(1)
        found, past = self._steered(images, tokens, valid, steer, share)
        grid = self.tower.grid_at(images)
        _, behind = self.language.rotary.positions([grid, tokens.shape[1]])
        place = behind - tokens.shape[1] + counts  # of the first new token of each row
        sees = torch.cat([_all(images, grid), valid], 1)
        last = found[torch.arange(len(found)), grid[0] * grid[1] + counts - 1]
        said: list[Tensor] = []
        over = torch.zeros_like(counts, dtype=torch.bool)
        while len(said) < most and not over.all():
            token = self.language.logits(last).argmax(-1).masked_fill(over, end)
            said.append(token)
            over = over | (token == end)
            sees = torch.cat([sees, torch.ones_like(sees[:, :1])], 1)
            where = place[:, None, None].expand(-1, 1, 3).float() + len(said) - 1
            x = self.language.embedding(token)[:, None]
            found, past = self.language(x, where, sees[:, None, None], past, share=share)
            last = found[:, -1]
        return torch.stack(said, 1) if said else tokens[:, :0]

    def _steered(
        self,
        images: Tensor,
        tokens: Tensor,
        valid: Tensor,
        steer: AdaptVis | None,
        share: Tensor | None,
    ) -> tuple[Float[Tensor, "b n w"], Sequence[Seen]]:
        if steer is None:
            return self._read(images, tokens, valid, share=share)
        grid = self.tower.grid_at(images)
        rows, picture = grid[0] * grid[1] + valid.sum(1) - 1, _all(images, grid)
        confidence = torch.zeros(len(images), device=valid.device)
        if steer.asks_first:
            found, _ = self._read(images, tokens, valid, share=share)
            last = found[torch.arange(len(found)), rows]
            confidence = self.language.logits(last).float().softmax(-1).amax(-1)
        own = Steer(
            steer.factors(confidence),
            rows,
            torch.cat([picture, torch.zeros_like(valid)], 1),
            None if steer.layers is None else frozenset(steer.layers),
            None if steer.heads is None else frozenset(steer.heads),
        )
        return self._read(images, tokens, valid, steer=own, share=share)

    def _read(
        self,
        images: Tensor,
        tokens: Tensor,
        valid: Tensor,
        *,
        steer: Steer | None = None,
        share: Tensor | None = None,
    ) -> tuple[Float[Tensor, "b n w"], Sequence[Seen]]:
        parts = [grid := self.tower.grid_at(images), tokens.shape[1]]
        positions, _ = self.language.rotary.positions(parts)
        columns = torch.cat([_all(images, grid), valid], 1)
        sees = sight(parts).to(valid.device) & columns[:, None]
        x = torch.cat([self.patches(images), self.language.embedding(tokens)], 1)
        where = positions.to(x.device)[None]
        return self.language(x, where, sees[:, None], steer=steer, share=share)


def _all(images: Tensor, grid: tuple[int, int]) -> Bool[Tensor, "b p"]:
    """A picture's patches are never padding."""
    return torch.ones(len(images), grid[0] * grid[1], dtype=torch.bool, device=images.device)
