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
from cloc.decoder.router import KEY, Router
from cloc.decoder.steer import AdaptVis, Steer
from cloc.decoder.twin import Twin
from cloc.errors import UserError
from cloc.numerics import upcast

Grid = tuple[int, int]  # rows and columns of the patches


class Decoder(nn.Module):
    """Patches are the tokens of an encoder, row by row (`ImageFeatures.read` of a tower, of one
    block or of several side by side); `connector` brings them before the words, in one sequence.
    `pin` gives them places of its own, `router` says which of twin experts answers."""

    def __init__(
        self,
        connector: Connector,
        language: PrefixLM,
        pin: PIN | None = None,
        router: Router | None = None,
    ) -> None:
        super().__init__()
        self.connector, self.language, self.pin, self.router = connector, language, pin, router

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
        return self.steered(patches, grid, tokens, valid, steer=None, share=share)[0]

    def answer_nll(
        self,
        patches: Float[Tensor, "b p e"],
        grid: Grid,
        tokens: Int[Tensor, "b q t"],
        valid: Bool[Tensor, "b q t"],
        answer_at: Int[Tensor, "b q a"],
        grounds: Bool[Tensor, "b q"],
        *,
        share: Float[Tensor, "b q"] | None = None,
    ) -> Float[Tensor, "b q a"]:
        """Minus the log probability, in nats, of the tokens at `answer_at`, each behind the right
        ones before it; 0 where a place is -1, which is padding.

        Questions about one picture do not see each other: its patches are looked at once, or for
        each question where it has a `share` of its own, and what they leave is there for it. Logits
        are made of answers alone. While twins learn, `grounds` says which questions are the new
        ones': all of it, or with a soft route what it leaves them. In evaluation nobody looks at
        `grounds`: `route` decides.
        """
        count, rows, places = tokens.shape[1], tokens.flatten(0, 1), answer_at.flatten(0, 1)
        own, there = None if share is None else share.flatten(), valid.flatten(0, 1)
        if share is None:
            asked = _asked(there, places)
            if self.training and self._has_twins():
                own = self._taught(rows, asked, grounds.flatten())
            else:
                own = self.route(rows, asked)
        if own is None:
            past = [seen.repeated(count) for seen in self._look(patches, grid, None)]
        else:
            past = list(self._look(patches.repeat_interleave(count, 0), grid, own))
        found, _ = self._ask(past, grid, rows, there, share=own)
        at = places.clamp(min=1)
        before = found.gather(1, (at - 1)[..., None].expand(-1, -1, found.shape[-1]))
        logits = upcast(self.language.logits(before)).flatten(0, 1)
        nll = F.cross_entropy(logits, rows.gather(1, at).flatten(), reduction="none")
        return nll.view(answer_at.shape).masked_fill(answer_at < 0, 0)

    def route(
        self, tokens: Int[Tensor, "b t"], valid: Bool[Tensor, "b t"]
    ) -> Float[Tensor, " b"] | None:
        """The old expert's share in the answer to each question, which is all that `tokens` are;
        None without twins. `UserError` where they have no router, so that a caller must say it."""
        if self.router is not None:
            return self.router.share(self._odds(tokens, valid))
        if self._has_twins():
            cure = "give a share, 1 of the old one or 0, or train with route=classifier"
            raise UserError(f"{KEY}=flag, and nobody says which expert answers; {cure}")
        return None

    def _has_twins(self) -> bool:
        return any(isinstance(module, Twin) for module in self.modules())

    def route_nll(
        self,
        tokens: Int[Tensor, "b q t"],
        valid: Bool[Tensor, "b q t"],
        answer_at: Int[Tensor, "b q a"],
        grounds: Bool[Tensor, "b q"],
    ) -> Float[Tensor, "b q"] | None:
        """Minus the log probability, in nats, of the right route of each question, read from what
        stands before the answer; None without a router."""
        if self.router is None:
            return None
        asked = _asked(valid.flatten(0, 1), answer_at.flatten(0, 1))
        odds = upcast(self._odds(tokens.flatten(0, 1), asked)).view(grounds.shape)
        return F.softplus(torch.where(grounds, odds, -odds))

    def _odds(self, tokens: Tensor, asked: Tensor) -> Float[Tensor, " b"]:
        assert self.router is not None
        found: Tensor = self.router(self.language.token_embedding(tokens).detach(), asked)
        return found

    def _taught(self, tokens: Tensor, asked: Tensor, grounds: Tensor) -> Float[Tensor, " b"]:
        soft = self.router is not None and self.router.soft
        own = self.route(tokens, asked) if soft else None
        return torch.where(grounds, 0.0 if own is None else own, 1.0)

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
        its `end` a row holds `end` alone. Patches and words are looked at once, words
        twice where `steer` asks first how sure the model is; it changes the first token's look
        alone. `route` decides where no `share` is given."""
        share = self.route(tokens, valid) if share is None else share
        counts = valid.sum(1)
        found, past = self.steered(patches, grid, tokens, valid, steer=steer, share=share)
        _, behind = self.language.rotary.positions([grid, tokens.shape[1]])
        place = behind - tokens.shape[1] + counts  # of the first new token of each row
        sees = torch.cat([_all(patches), valid], 1)
        last = found[torch.arange(len(found)), counts - 1]
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
        """How sure the model is of the first token of the answer: its largest probability. `route`
        decides where no `share` is given."""
        share = self.route(tokens, valid) if share is None else share
        return self._sure(self(patches, grid, tokens, valid, share=share), valid)

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
        """What the last norm gives for words, and what patches and words leave for later ones.
        `UserError` for layers and heads of `steer` that are not there."""
        past = self._look(patches, grid, share)
        if steer is None:
            return self._ask(past, grid, tokens, valid, share=share)
        confidence = torch.zeros(len(patches), device=valid.device)
        if steer.asks_first:
            found, _ = self._ask(past, grid, tokens, valid, share=share)
            confidence = self._sure(found, valid)
        own = steer.steer(
            confidence,
            valid.sum(1) - 1,
            torch.cat([_all(patches), torch.zeros_like(valid)], 1),
            layers=len(self.language.blocks),
            heads=self.language.num_heads,
        )
        return self._ask(past, grid, tokens, valid, steer=own, share=share)

    def _sure(self, found: Tensor, valid: Tensor) -> Float[Tensor, " b"]:
        last = found[torch.arange(len(found)), valid.sum(1) - 1]
        return self.language.logits(last).float().softmax(-1).amax(-1)

    def _look(self, patches: Tensor, grid: Grid, share: Tensor | None) -> Sequence[Seen]:
        """What patches leave for words; they see each other, and no word."""
        seen = self.connector(patches if self.pin is None else self.pin(patches, grid), grid)
        positions, _ = self.language.rotary.positions([grid])
        return self.language(seen, positions.to(seen.device)[None], None, share=share)[1]

    def _ask(
        self,
        past: Sequence[Seen],
        grid: Grid,
        tokens: Tensor,
        valid: Tensor,
        *,
        steer: Steer | None = None,
        share: Tensor | None = None,
    ) -> tuple[Float[Tensor, "b t w"], Sequence[Seen]]:
        """What the last norm gives for words behind the patches that left `past`."""
        number = grid[0] * grid[1]
        parts: list[Part] = [grid, tokens.shape[1]]
        positions = self.language.rotary.positions(parts)[0][number:].to(tokens.device)
        known = valid.new_ones(len(valid), number)
        sees = sight(parts)[number:].to(valid.device) & torch.cat([known, valid], 1)[:, None]
        x = self.language.token_embedding(tokens)
        return self.language(x, positions[None], sees[:, None], past, steer=steer, share=share)


def _all(patches: Tensor) -> Bool[Tensor, "b p"]:
    """A picture's patches are never padding."""
    return torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)


def _asked(valid: Bool[Tensor, "b t"], answer_at: Int[Tensor, "b a"]) -> Bool[Tensor, "b t"]:
    """The places of the question, which stands before its answer."""
    counts = valid.sum(1) - (answer_at >= 0).sum(1)
    return torch.arange(valid.shape[1], device=valid.device) < counts[:, None]
