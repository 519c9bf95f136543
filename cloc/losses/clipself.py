"""Regions held to what a frozen teacher says of their crops (CLIPSelf, arXiv 2310.01403)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cloc import dist
from cloc.interfaces import Embeddings, RegionBatch, Term
from cloc.losses.shared.rows import one_minus_cosine, wipe
from cloc.numerics import full_precision


def clipself_loss(
    regions: Float[Tensor, "*n d"], teacher: Float[Tensor, "*n e"], valid: Bool[Tensor, "*n"]
) -> Float[Tensor, ""]:
    """1 - cosine of a region and the teacher's embedding of its crop, the mean over the valid
    regions of all ranks, in [0, 2]; 0 where there are none.

    Rows are unit vectors. The teacher gets no gradient. Every rank returns the same global value.
    """
    with full_precision(regions):
        gaps = one_minus_cosine(wipe(regions, valid), wipe(teacher, valid))
        summed, num_valid = dist.total(torch.stack([gaps.sum(), valid.sum().to(gaps.dtype)]))
        return summed / num_valid.detach().clamp(min=1)


class CLIPSelf:
    """Hands `clipself_loss` its tensors."""

    needs: tuple[str, ...] = ("region", "extra.teacher_region")

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term:
        """No logs: the value says it all."""
        assert out.region is not None  # `needs` says so
        return Term(clipself_loss(out.region, out.extra["teacher_region"], batch.valid), {})
