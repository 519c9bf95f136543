"""Each region against hard negatives of its own phrase (FG-CLIP, arXiv 2505.05071)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cloc import dist
from cloc.errors import UserError
from cloc.interfaces import Embeddings, RegionBatch, Term
from cloc.losses.shared.rows import wipe
from cloc.numerics import full_precision, upcast


def region_hard_negatives_loss(
    regions: Float[Tensor, "*n d"],
    texts: Float[Tensor, "*n m d"],
    text_valid: Bool[Tensor, "*n m"],
    valid: Bool[Tensor, "*n"],
    scale: Float[Tensor, ""],
) -> Term:
    """Cross-entropy in nats of a region's own phrase, the first of its m texts, against the others,
    its hard negatives; `text_valid` is False where a negative is padding.

    The mean is over the valid regions of all ranks that have at least one negative, the same on
    every rank; 0 where there are none. No other region of the batch has a say. Logs, both shares:
    `accuracy`, of these regions, whose phrase beats all of its negatives; `with_negatives`, of the
    valid regions, that have one.
    """
    with full_precision(regions):
        negative_valid = text_valid[..., 1:] & valid[..., None]
        counted = negative_valid.any(-1)
        there = torch.cat([counted[..., None], negative_valid], -1)
        regions, texts = upcast(scale) * wipe(regions, counted), wipe(texts, there)
        # the own text stays, in a padded row too: softmax over nothing would be NaN, over one is 0
        hidden = F.pad(~negative_valid, (1, 0))
        logits = torch.einsum("...d,...md->...m", regions, texts).masked_fill(hidden, -torch.inf)
        nats = logits.log_softmax(-1)[..., 0].neg().sum()
        at_least_own = (logits.detach() >= logits.detach()[..., :1]).sum(-1)
        right = (at_least_own == 1) & counted  # a tie is no win
        counts = torch.stack([right.sum(), counted.sum(), valid.sum()]).to(nats.dtype)
        sums = dist.total(torch.cat([nats[None], counts]))
    num_right, num_counted, num_valid = sums[1:].detach()
    every = num_counted.clamp(min=1)
    logs = {"accuracy": num_right / every, "with_negatives": num_counted / num_valid.clamp(min=1)}
    return Term(sums[0] / every, logs)


class RegionHardNegatives:
    """Hands `region_hard_negatives_loss` its tensors; the temperature is that of the regions.

    For use beside `region_text`, which puts the same negatives among those of the whole batch.
    """

    needs: tuple[str, ...] = ("phrase", "region", "region_scale")

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term:
        assert out.region is not None  # `needs` says so, of all three
        assert out.phrase is not None
        assert out.region_scale is not None
        if batch.negative_index.shape[-1] == 0:
            raise UserError(
                "the region_hard_negatives loss gets no negatives from this data; set "
                "data.view.max_negatives to 1 or more, or remove losses.region_hard_negatives"
            )
        index = torch.cat([batch.phrase_index[..., None], batch.negative_index], -1)
        texts = out.phrase[index.clamp(min=0)]
        return region_hard_negatives_loss(
            out.region, texts, index >= 0, batch.valid, out.region_scale
        )
