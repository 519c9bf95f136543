"""Where a decoder looks when it is about to answer: how much of its attention lies on the picture,
how far spread, and how much of it on what was asked for."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cloc.decoder.decoder import Decoder, Grid
from cloc.errors import UserError
from cloc.eval.diagnosis.shares import Shares


class Look(NamedTuple):
    """Where the token that answers looks, which figures are made of, and what comes of it."""

    layers: tuple[int, ...]  # their numbers; those without attention are not there
    shares: Float[Tensor, "l b h m"]  # of all tokens; they sum to 1
    first: Float[Tensor, "b v"]  # logits of the first token of the answer


def gaze(
    decoder: Decoder,
    patches: Float[Tensor, "b p e"],
    grid: Grid,
    tokens: Int[Tensor, "b t"],
    valid: Bool[Tensor, "b t"],
) -> Look:
    """Of the last word of each question, in every block and head of the decoder: patches stand
    first, then words. In one pass."""
    found: list[Tensor] = []
    with Shares(found.append):
        first = first_token(decoder, patches, grid, tokens, valid)
    of_words = found[len(found) // 2 :]  # behind those of patches, which see patches alone
    rows = valid.sum(1) - 1
    shares = torch.stack(of_words)[:, torch.arange(len(patches)), :, rows].transpose(0, 1)
    return Look(tuple(range(len(shares))), shares, first)


@torch.no_grad()
def first_token(
    decoder: Decoder,
    patches: Float[Tensor, "b p e"],
    grid: Grid,
    tokens: Int[Tensor, "b t"],
    valid: Bool[Tensor, "b t"],
) -> Float[Tensor, "b v"]:
    """Logits of the token that follows each question, in float32; of twins by the expert that the
    router chooses."""
    found = decoder(patches, grid, tokens, valid, share=decoder.route(tokens, valid))
    last = found[torch.arange(len(found)), valid.sum(1) - 1]
    logits: Tensor = decoder.language.logits(last)
    return logits.float()


def picture_of(patches: Float[Tensor, "b p e"], valid: Bool[Tensor, "b t"]) -> Bool[Tensor, "b m"]:
    """Which of all tokens are patches: of our decoder the first ones."""
    first = torch.ones(patches.shape[:2], dtype=torch.bool, device=valid.device)
    return torch.cat([first, torch.zeros_like(valid)], 1)


def of_picture(
    shares: Float[Tensor, "l b h m"],
    picture: Bool[Tensor, "b m"],
    *,
    ignored: Bool[Tensor, "b m"] | None = None,
) -> Float[Tensor, "l b h"]:
    """The part of the tokens of the `picture`. `ignored` ones count for neither side: a system
    prompt soaks up most of what words get (72 % in arXiv 2503.17349), so that with it and without
    it the same model looks at the words or at the picture."""
    counted = torch.ones_like(picture) if ignored is None else ~ignored
    seen, both = ((shares * own[:, None]).sum(-1) for own in (picture & counted, counted))
    return seen / both.clamp(min=1e-12)


def spread(
    shares: Float[Tensor, "l b h m"], picture: Bool[Tensor, "b m"]
) -> Float[Tensor, "l b h"]:
    """Entropy of the look at the picture over the entropy of an even one: 0 is one patch, 1 all
    alike."""
    counts = picture.sum(1)
    if (least := int(counts.min())) < 2:
        raise UserError(f"{least} patches have no spread; give a picture of 2 or more")
    even = counts.float().log()[:, None]
    return torch.special.entr(_among(shares, picture)).sum(-1) / even


def on_boxes(
    shares: Float[Tensor, "l b h m"], picture: Bool[Tensor, "b m"], inside: Bool[Tensor, "b m"]
) -> Float[Tensor, "l b h"]:
    """The part of the look at the picture that lies on those of its tokens that are `inside`."""
    return (_among(shares, picture) * inside[:, None]).sum(-1)


def among_all(
    inside: Sequence[Bool[Tensor, " _"]], picture: Bool[Tensor, "b m"]
) -> Bool[Tensor, "b m"]:
    """What is said of each picture's patches, row by row, said of all tokens: false of words."""
    found = torch.zeros_like(picture)
    found[picture] = torch.cat(list(inside)).to(found.device)
    return found


def inside_boxes(
    boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"], grid: tuple[int, int]
) -> Bool[Tensor, "b p"]:
    """Patches whose middle lies in one of the boxes, fractions of the frame."""
    rows, columns = grid
    down = (torch.arange(rows, device=boxes.device) + 0.5) / rows
    across = (torch.arange(columns, device=boxes.device) + 0.5) / columns
    x0, y0, x1, y1 = boxes[..., None].unbind(2)
    in_rows, in_columns = (y0 <= down) & (down < y1), (x0 <= across) & (across < x1)
    both = in_rows[..., :, None] & in_columns[..., None, :] & valid[..., None, None]
    return both.any(1).flatten(1)


def best_heads(figure: Float[Tensor, "l b h"], count: int) -> list[tuple[int, int]]:
    """(block, head) of the `count` heads with the largest mean over the batch, the best one first.
    Choose on pictures of the training set: three of a thousand are enough to find things by."""
    mean = figure.mean(1)
    if not 1 <= count <= mean.numel():
        raise UserError(f"count={count}; give 1 to {mean.numel()}, the heads there are")
    order = mean.flatten().argsort(descending=True, stable=True)[:count].tolist()
    return [divmod(number, mean.shape[1]) for number in order]


def _among(shares: Tensor, picture: Tensor) -> Tensor:
    own = shares * picture[:, None]
    return own / own.sum(-1, keepdim=True).clamp(min=1e-12)
