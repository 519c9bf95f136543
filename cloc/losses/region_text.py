"""The symmetric softmax loss between regions and their phrases (CLOC, arXiv 2410.02746)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cloc import dist
from cloc.errors import UserError
from cloc.interfaces import Embeddings, RegionBatch, Term
from cloc.losses.shared.rows import check_chunk, check_option, own_columns, sum_over_chunks, wipe
from cloc.numerics import full_precision, upcast

CONFLICTS = ("cosine", "text", "none")
PAPER_THRESHOLD = 0.9


class _Pairs(NamedTuple):
    """Rows that belong together; what stands in padded ones was wiped."""

    regions: Float[Tensor, "n d"]
    phrases: Float[Tensor, "n d"]
    valid: Bool[Tensor, " n"]
    ids: Int[Tensor, "n 2"]  # equal for equal texts; for the same box of the same image


def region_text_loss(  # noqa: PLR0913 - tensors of rows, and an option each of the filter
    regions: Float[Tensor, "*n d"],
    phrases: Float[Tensor, "*n d"],
    valid: Bool[Tensor, "*n"],
    scale: Float[Tensor, ""],
    *,
    phrase_ids: Int[Tensor, "*n"] | None = None,
    box_ids: Int[Tensor, "*n"] | None = None,
    conflict: str = "cosine",
    threshold: float | None = None,
    negatives: Float[Tensor, "*n k d"] | None = None,
    negative_valid: Bool[Tensor, "*n k"] | None = None,
    chunk: int = 256,
) -> Term:
    """Symmetric InfoNCE in nats over the valid rows of all ranks; 0 where there are none.

    Rows stand in [images, regions], or in one axis where every one is of an image of its own. A
    region and its phrase are a positive pair of unit vectors. Two rows leave each other's
    denominators in both directions where their texts conflict (cosine above `threshold`, 0.9 where
    None as in the paper, or equal `phrase_ids`) or, as two names of one region, where `box_ids` are
    equal. A region's `negatives` join its own row, past the filter. Every rank returns the same
    value. Only `chunk` rows of similarities exist at a time, and again in backward.

    Logs, all shares: `masked_fraction` of the pairs of two valid rows, taken out by the filter;
    `accuracy`, of regions whose own phrase beats all of its row; `coverage`, of images with one.
    """
    at_most = _check(conflict, threshold, chunk)
    with full_precision(regions):
        mine = _pairs(regions, phrases, valid, _ids(valid.flatten(), phrase_ids, box_ids, conflict))
        every = _Pairs(*dist.gather(*mine))
        hard, hard_valid = _negatives(mine, negatives, negative_valid)
        own, scale = own_columns(mine.valid), upcast(scale)

        def partial(at: slice) -> Tensor:
            some = _Pairs(*(x[at] for x in mine))
            return _sums(some, every, own[at], scale, at_most, hard[at], hard_valid[at])

        sums = dist.total(sum_over_chunks(partial, len(mine.valid), chunk=chunk))
    return _term(sums, every.valid, valid.shape[-1] if valid.ndim > 1 else 1)


def _pairs(
    regions: Float[Tensor, "*n d"],
    phrases: Float[Tensor, "*n d"],
    valid: Bool[Tensor, "*n"],
    ids: Int[Tensor, "m 2"],
) -> _Pairs:
    """One row after the other, padding wiped."""
    regions, phrases = (wipe(x, valid).flatten(0, -2) for x in (regions, phrases))
    return _Pairs(regions, phrases, valid.flatten(), ids)


def _check(conflict: str, threshold: float | None, chunk: int) -> float | None:
    """The cosine of two texts above which they conflict; None where it does not matter."""
    check_option("conflict of the region_text loss", conflict, CONFLICTS)
    check_chunk("chunk of the region_text loss", chunk)
    if threshold is not None and conflict != "cosine":
        raise UserError(
            f"threshold of the region_text loss is {threshold}, but conflict={conflict} has none; "
            "set losses.region_text.threshold=null"
        )
    if threshold is not None and not -1 <= threshold <= 1:
        raise UserError(
            f"threshold of the region_text loss is {threshold}; a cosine lies in [-1, 1], and "
            "conflict=none turns the filter off"
        )
    if conflict != "cosine":
        return None
    return PAPER_THRESHOLD if threshold is None else threshold


def _ids(
    valid: Bool[Tensor, " n"],
    phrase_ids: Int[Tensor, "*n"] | None,
    box_ids: Int[Tensor, "*n"] | None,
    conflict: str,
) -> Int[Tensor, "n 2"]:
    """What two rows of equal text share, and two of one box; without `text`, or the boxes, no two
    rows share it."""
    own = own_columns(valid)
    if conflict == "text" and phrase_ids is None:
        raise UserError("conflict 'text' compares phrase_ids, and none were given")
    texts = phrase_ids if conflict == "text" else None
    return torch.stack([own if ids is None else ids.flatten() for ids in (texts, box_ids)], 1)


def _negatives(
    mine: _Pairs,
    negatives: Float[Tensor, "*n k d"] | None,
    negative_valid: Bool[Tensor, "*n k"] | None,
) -> tuple[Float[Tensor, "n k d"], Bool[Tensor, "n k"]]:
    """Both given, padding wiped; k = 0 where there are none."""
    if negatives is None:
        negatives = mine.regions.new_zeros(len(mine.valid), 0, mine.regions.shape[1])
    negatives = negatives.flatten(0, -3)
    if negative_valid is None:
        negative_valid = mine.valid[:, None].expand(negatives.shape[:2])
    negative_valid = negative_valid.flatten(0, -2)
    return wipe(negatives, negative_valid & mine.valid[:, None]), negative_valid


def _sums(
    mine: _Pairs,
    every: _Pairs,
    own: Int[Tensor, " c"],
    scale: Float[Tensor, ""],
    threshold: float | None,
    negatives: Float[Tensor, "c k d"],
    negative_valid: Bool[Tensor, "c k"],
) -> Float[Tensor, "3"]:
    """Nats of both directions, pairs taken out by the filter, regions that pick their phrase."""
    texts, boxes = every.ids.unbind(1)
    same = (mine.ids[:, :1] == texts) | (mine.ids[:, 1:] == boxes)
    if threshold is not None:
        same |= mine.phrases.detach() @ every.phrases.detach().T > threshold
    # the own column stays, in a padded row too: softmax over nothing would be NaN
    hidden = (same | ~every.valid).scatter(1, own[:, None], False)
    to_text = (scale * mine.regions @ every.phrases.T).masked_fill(hidden, -torch.inf)
    to_region = (scale * mine.phrases @ every.regions.T).masked_fill(hidden, -torch.inf)
    to_negative = torch.einsum("cd,ckd->ck", scale * mine.regions, negatives)
    to_text = torch.cat([to_text, to_negative.masked_fill(~negative_valid, -torch.inf)], 1)

    target = own.masked_fill(~mine.valid, -100)  # the index that cross_entropy leaves out
    nats = F.cross_entropy(to_text, target, reduction="sum")
    nats = nats + F.cross_entropy(to_region, target, reduction="sum")
    masked = (hidden & every.valid & mine.valid[:, None]).sum()
    at_least_own = (to_text.detach() >= to_text.detach().gather(1, own[:, None])).sum(1)
    right = ((at_least_own == 1) & mine.valid).sum()  # a tie is no win
    return torch.stack([nats, masked.to(nats.dtype), right.to(nats.dtype)])


def _term(sums: Float[Tensor, "3"], valid: Bool[Tensor, " n"], per_image: int) -> Term:
    """`valid` of all ranks, whose every `per_image` rows are those of one image."""
    nats, masked, right = sums
    num_valid = valid.sum()
    num_rows = num_valid.clamp(min=1)
    num_pairs = (num_valid * (num_valid - 1)).clamp(min=1)
    images = valid.unflatten(0, (-1, per_image)).any(1)
    logs = {
        "masked_fraction": masked / num_pairs,
        "accuracy": right / num_rows,
        "coverage": images.sum().to(nats.dtype) / max(len(images), 1),
    }
    return Term(nats / (2 * num_rows), {name: x.detach() for name, x in logs.items()})


def hash_rows(tokens: Int[Tensor, "u s"]) -> Int[Tensor, " u"]:
    """One number per row, equal for equal rows on every rank; trailing zeros do not count.

    A polynomial modulo 2^64: unequal rows share a number about once in 10^19 pairs.
    """
    base = torch.full(tokens.shape[1:], -7046029254386353131, device=tokens.device)  # odd
    return (tokens.long() * base.cumprod(0)).sum(1)  # made on the device: no host sync


def first_of_box(boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]) -> Int[Tensor, "b r"]:
    """Of each region the row, among those of all ranks, of the first region with the same box in
    its image: one number per box. Padded regions share none with valid ones."""
    same = (boxes[:, :, None] == boxes[:, None]).all(-1) & valid[:, :, None] & valid[:, None]
    first = same.int().argmax(-1)  # the first of equal ones; 0 where there is none
    rows = own_columns(valid.flatten()).view_as(valid)
    return torch.where(valid, rows.gather(1, first), rows)


class RegionText:
    """Hands `region_text_loss` its tensors and weighs it by the share of images with regions.

    `weight_by_coverage` is the paper's lambda: each region then has the same pull on the gradient
    whatever share of the images has regions.
    """

    needs: tuple[str, ...] = ("phrase", "region", "region_scale")

    def __init__(
        self,
        *,
        conflict: str = "cosine",
        threshold: float | None = None,
        chunk: int = 256,
        weight_by_coverage: bool = True,
    ) -> None:
        _check(conflict, threshold, chunk)
        self.conflict = conflict
        self.threshold = threshold
        self.chunk = chunk
        self.weight_by_coverage = weight_by_coverage

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term:
        assert out.region is not None  # `needs` says so, of all three
        assert out.phrase is not None
        assert out.region_scale is not None
        value, logs = region_text_loss(
            out.region,
            out.phrase[batch.phrase_index],
            batch.valid,
            out.region_scale,
            phrase_ids=hash_rows(batch.phrases)[batch.phrase_index],
            box_ids=first_of_box(batch.boxes, batch.valid),
            conflict=self.conflict,
            threshold=self.threshold,
            negatives=out.phrase[batch.negative_index.clamp(min=0)],
            negative_valid=batch.negative_index >= 0,
            chunk=self.chunk,
        )
        return Term(value * logs["coverage"] if self.weight_by_coverage else value, logs)
