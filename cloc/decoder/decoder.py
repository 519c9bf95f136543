"""A connector and a language model behind an encoder: questions about a picture, in words."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cloc.decoder.attention import Seen
from cloc.decoder.connector import Connector
from cloc.decoder.pin import PIN
from cloc.decoder.prefix_lm import PrefixLM, sight
from cloc.decoder.rotary import Part
from cloc.decoder.steer import AdaptVis, Steer
from cloc.decoder.twin import Twin
from cloc.numerics import upcast

Grid = tuple[int, int]  # rows and columns of the patches


class Decoder(nn.Module):
    """Patches are the tokens of an encoder, row by row (`ImageFeatures.read` of a tower, of one
    block or of several side by side); `connector` brings them before the words, in one sequence.
    `pin` gives them places of its own."""

    def __init__(self, connector: Connector, language: PrefixLM, pin: PIN | None = None) -> None:
        super().__init__()
        self.connector, self.language, self.pin = connector, language, pin

    def forward(
        self,
        patches: Float[Tensor, "b p e"],
        grid: Grid,
        tokens: Int[Tensor, "b t"],
        valid: Bool[Tensor, "b t"],
        *,
        share: Float[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b t w"]:
        """Of each of `tokens` what `language.logits` reads the next one from; what stands in padded
        places (on the right) changes none of the others. `share` is of the old one of each twin."""
        found, _ = self._read(patches, grid, tokens, valid, share=share)
        return found[:, patches.shape[1] :]

    def answer_nll(
        self,
        patches: Float[Tensor, "b p e"],
        grid: Grid,
        tokens: Int[Tensor, "b q t"],
        valid: Bool[Tensor, "b q t"],
        answer_at: Int[Tensor, "b q a"],
    ) -> Float[Tensor, "b q a"]:
        """Minus the log probability, in nats, of the tokens at `answer_at`, each behind the right
        ones before it; 0 where a place is -1, which is padding.

        Questions about one picture do not see each other: its patches are looked at once for all.
        Logits are made of answers alone. While twins learn, all questions are the new ones'.
        """
        learns = self.training and any(isinstance(module, Twin) for module in self.modules())
        share = torch.zeros(len(patches), device=patches.device) if learns else None
        count, length = tokens.shape[1:]
        words = tokens.flatten(1), valid.flatten(1)
        found, _ = self._read(patches, grid, *words, count=count, share=share)
        found = found[:, patches.shape[1] :].unflatten(1, (count, length))
        at = answer_at.clamp(min=1)
        before = found.gather(2, (at - 1)[..., None].expand(-1, -1, -1, found.shape[-1]))
        logits = upcast(self.language.logits(before)).flatten(0, 2)
        nll = F.cross_entropy(logits, tokens.gather(2, at).flatten(), reduction="none")
        return nll.view(at.shape).masked_fill(answer_at < 0, 0)

    @torch.no_grad()
    def answer(
        self,
        patches: Float[Tensor, "b p e"],
        grid: Grid,
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
        found, past = self.steered(patches, grid, tokens, valid, steer=steer, share=share)
        _, behind = self.language.rotary.positions([grid, tokens.shape[1]])
        place = behind - tokens.shape[1] + counts  # of the first new token of each row
        sees = torch.cat([_all(patches), valid], 1)
        last = found[torch.arange(len(found)), patches.shape[1] + counts - 1]
        said: list[Tensor] = []
        over = torch.zeros_like(counts, dtype=torch.bool)
        while len(said) < most and not over.all():
            token = self.language.logits(last).argmax(-1).masked_fill(over, end)
            said.append(token)
            over = over | (token == end)
            sees = torch.cat([sees, torch.ones_like(sees[:, :1])], 1)
            where = place[:, None, None].expand(-1, 1, 3).float() + len(said) - 1
            x = self.language.token_embedding(token)[:, None]
            found, past = self.language(x, where, sees[:, None, None], past, share=share)
            last = found[:, -1]
        return torch.stack(said, 1) if said else tokens[:, :0]

    @torch.no_grad()
    def confidence(
        self,
        patches: Float[Tensor, "b p e"],
        grid: Grid,
        tokens: Int[Tensor, "b t"],
        valid: Bool[Tensor, "b t"],
        *,
        share: Float[Tensor, " b"] | None = None,
    ) -> Float[Tensor, " b"]:
        """How sure the model is of the first token of the answer: its largest probability."""
        found, _ = self._read(patches, grid, tokens, valid, share=share)
        rows = patches.shape[1] + valid.sum(1) - 1
        last = found[torch.arange(len(found)), rows]
        return self.language.logits(last).float().softmax(-1).amax(-1)

    def steered(
        self,
        patches: Float[Tensor, "b p e"],
        grid: Grid,
        tokens: Int[Tensor, "b t"],
        valid: Bool[Tensor, "b t"],
        *,
        steer: AdaptVis | None,
        share: Float[Tensor, " b"] | None = None,
    ) -> tuple[Float[Tensor, "b n w"], Sequence[Seen]]:
        """What the last norm gives for patches and words, and what they leave for later ones."""
        if steer is None:
            return self._read(patches, grid, tokens, valid, share=share)
        rows = patches.shape[1] + valid.sum(1) - 1
        confidence = torch.zeros(len(patches), device=valid.device)
        if steer.asks_first:
            confidence = self.confidence(patches, grid, tokens, valid, share=share)
        own = Steer(
            steer.factors(confidence),
            rows,
            torch.cat([_all(patches), torch.zeros_like(valid)], 1),
            None if steer.layers is None else frozenset(steer.layers),
            None if steer.heads is None else frozenset(steer.heads),
        )
        return self._read(patches, grid, tokens, valid, steer=own, share=share)

    def _read(
        self,
        patches: Tensor,
        grid: Grid,
        tokens: Tensor,
        valid: Tensor,
        *,
        count: int = 1,
        steer: Steer | None = None,
        share: Tensor | None = None,
    ) -> tuple[Float[Tensor, "b n w"], Sequence[Seen]]:
        """The words are those of `count` questions, as many of each, one behind the other."""
        number, length = patches.shape[1], tokens.shape[1] // count
        parts: list[Part] = [grid, length]
        positions, _ = self.language.rotary.positions(parts)
        positions = torch.cat([positions[:number], positions[number:].repeat(count, 1)])
        own = sight(parts, count).to(valid.device)
        sees = own & torch.cat([_all(patches), valid], 1)[:, None]
        seen = self.connector(patches if self.pin is None else self.pin(patches))
        x = torch.cat([seen, self.language.token_embedding(tokens)], 1)
        where = positions.to(x.device)[None]
        return self.language(x, where, sees[:, None], steer=steer, share=share)


def _all(patches: Tensor) -> Bool[Tensor, "b p"]:
    """A picture's patches are never padding."""
    return torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)
