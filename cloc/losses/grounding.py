"""How far the box predicted for a phrase lies from where the phrase is (CLOC, arXiv 2410.02746)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cloc import boxes as box_algebra
from cloc import dist
from cloc.errors import UserError
from cloc.interfaces import Embeddings, RegionBatch, Term
from cloc.losses.shared.rows import check_option, wipe
from cloc.numerics import full_precision

KINDS = ("mse", "l1_giou")
MATCHES = ("own", "nearest")
L1_WEIGHT, GIOU_WEIGHT = 2.5, 1.0  # DETR's 5 : 2 (arXiv 2005.12872), the GIoU term as the unit


def grounding_loss(
    predicted: Float[Tensor, "b r 4"],
    boxes: Float[Tensor, "b r 4"],
    valid: Bool[Tensor, "b r"],
    *,
    kind: str = "mse",
    match: str = "own",
    phrase_index: Int[Tensor, "b r"] | None = None,
) -> Term:
    """Mean cost over the valid regions of all ranks, the same on every rank; 0 where none is.

    `mse` is the mean squared error of the 4 coordinates, as in the paper. `l1_giou` is 2.5 x the
    absolute errors summed over the 4 coordinates + (1 - GIoU).

    `own` compares with the region's own box. `nearest` takes the cheapest box among the valid
    regions of the same image with the same `phrase_index`: a phrase that names two objects has no
    single right box. Logs: `iou`, the mean IoU with the best box that was allowed, and `coverage`,
    the share of images with a valid region.
    """
    _check(kind, match)
    if match == "nearest" and phrase_index is None:
        raise UserError("match 'nearest' compares phrase_index, and none was given")
    with full_precision(predicted):
        predicted, boxes = wipe(predicted, valid), wipe(boxes, valid)
        allowed = _allowed(valid, phrase_index if match == "nearest" else None)
        # every prediction against every box of its image, [b r r]: a few boxes, so never large
        each, other = torch.broadcast_tensors(predicted[:, :, None], boxes[:, None])
        cost = _mse(each, other) if kind == "mse" else _l1_giou(each, other)
        iou = box_algebra.iou(each.detach(), other.detach())
        best = cost.masked_fill(~allowed, torch.inf).amin(-1).masked_fill(~valid, 0)
        best_iou = iou.masked_fill(~allowed, 0).amax(-1).masked_fill(~valid, 0)
        counts = torch.stack([valid.sum(), valid.any(1).sum()])
        sums = dist.total(torch.cat([torch.stack([best.sum(), best_iou.sum()]), counts]))
    cost_sum, iou_sum, num_valid, num_images = sums
    every = num_valid.detach().clamp(min=1)
    share = num_images / max(len(valid) * dist.world_size(), 1)
    logs = {"iou": iou_sum / every, "coverage": share}
    return Term(cost_sum / every, {name: x.detach() for name, x in logs.items()})


def _check(kind: str, match: str) -> None:
    check_option("kind of the grounding loss", kind, KINDS)
    check_option("match of the grounding loss", match, MATCHES)


def _allowed(
    valid: Bool[Tensor, "b r"], phrase_index: Int[Tensor, "b r"] | None
) -> Bool[Tensor, "b r r"]:
    """Which boxes of its image a region may be compared with; always its own, in padding too."""
    own = torch.eye(valid.shape[1], dtype=torch.bool, device=valid.device)
    if phrase_index is None:
        return own.expand(len(valid), -1, -1)
    return (phrase_index[:, :, None] == phrase_index[:, None]) & valid[:, None] | own


def _mse(a: Float[Tensor, "b r r 4"], b: Float[Tensor, "b r r 4"]) -> Float[Tensor, "b r r"]:
    return (a - b).square().mean(-1)


def _l1_giou(a: Float[Tensor, "b r r 4"], b: Float[Tensor, "b r r 4"]) -> Float[Tensor, "b r r"]:
    return L1_WEIGHT * (a - b).abs().sum(-1) + GIOU_WEIGHT * (1 - box_algebra.giou(a, b))


class Grounding:
    """Hands `grounding_loss` its tensors and weighs it by the share of images with regions.

    `weight_by_coverage` is the paper's lambda.
    """

    needs: tuple[str, ...] = ("predicted_boxes",)

    def __init__(
        self,
        *,
        kind: str = "mse",
        match: str = "own",
        weight_by_coverage: bool = True,
    ) -> None:
        _check(kind, match)
        self.kind = kind
        self.match = match
        self.weight_by_coverage = weight_by_coverage

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term:
        assert out.predicted_boxes is not None  # `needs` says so
        value, logs = grounding_loss(
            out.predicted_boxes,
            batch.boxes,
            batch.valid,
            kind=self.kind,
            match=self.match,
            phrase_index=batch.phrase_index,
        )
        return Term(value * logs["coverage"] if self.weight_by_coverage else value, logs)
