"""Where a decoder looks when it is about to answer: how much of its attention lies on the picture,
how far spread, and how much of it on what was asked for."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cloc.decoder.decoder import Decoder, Grid
from cloc.errors import UserError
from cloc.eval.diagnosis.shares import Shares


@torch.no_grad()
def gaze(
    decoder: Decoder,
    patches: Float[Tensor, "b p e"],
    grid: Grid,
    tokens: Int[Tensor, "b t"],
    valid: Bool[Tensor, "b t"],
) -> Float[Tensor, "l b h m"]:
    """Of every block and head of the decoder the shares that the last word of each question gives
    to all tokens: patches first, then words; they sum to 1."""
    found: list[Tensor] = []
    with Shares(found.append):
        decoder(patches, grid, tokens, valid, share=decoder.route(tokens, valid))
    rows = patches.shape[1] + valid.sum(1) - 1
    return torch.stack(found)[:, torch.arange(len(patches)), :, rows].transpose(0, 1)


def of_picture(
    shares: Float[Tensor, "l b h m"], patches: int, *, ignored: int = 0
) -> Float[Tensor, "l b h"]:
    """The part of the first `patches` tokens. The first `ignored` words count for neither side: a
    system prompt soaks up most of what words get (72 % in arXiv 2503.17349), so that with it and
    without it the same model looks at the words or at the picture."""
    seen = shares[..., :patches].sum(-1)
    return seen / (seen + shares[..., patches + ignored :].sum(-1)).clamp(min=1e-12)


def spread(shares: Float[Tensor, "l b h m"], patches: int) -> Float[Tensor, "l b h"]:
    """Entropy of the look at the picture over the entropy of an even one: 0 is one patch, 1 all
    alike."""
    if patches < 2:
        raise UserError(f"{patches} patches have no spread; give a picture of 2 or more")
    own = _among(shares, patches)
    return torch.special.entr(own).sum(-1) / torch.log(torch.tensor(float(patches)))


def on_boxes(
    shares: Float[Tensor, "l b h m"], inside: Bool[Tensor, "b p"]
) -> Float[Tensor, "l b h"]:
    """The part of the look at the picture that lies on the patches `inside`."""
    own = _among(shares, inside.shape[1])
    return (own * inside[None, :, None]).sum(-1)


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


def _among(shares: Tensor, patches: int) -> Tensor:
    own = shares[..., :patches]
    return own / own.sum(-1, keepdim=True).clamp(min=1e-12)
