"""The pairwise sigmoid loss between images and captions (SigLIP, arXiv 2303.15343)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cloc import dist
from cloc.interfaces import Embeddings, RegionBatch, Term
from cloc.losses.shared.rows import check_chunk, own_columns, sum_over_chunks, wipe
from cloc.numerics import full_precision, upcast


def image_text_sigmoid_loss(
    images: Float[Tensor, "n d"],
    captions: Float[Tensor, "n d"],
    valid: Bool[Tensor, " n"],
    scale: Float[Tensor, ""],
    bias: Float[Tensor, ""],
    *,
    chunk: int | None = None,
) -> Float[Tensor, ""]:
    """Nats of every image-caption pair of all ranks, summed, per valid image; 0 where none is.

    Row i of both inputs is a positive pair of unit vectors, all others are negatives. An image
    without a caption is in no pair. Every rank returns the same global value. With `chunk` the
    square of similarities is made that many rows at a time and again in backward.
    """
    with full_precision(images):
        images, captions = wipe(images, valid), wipe(captions, valid)
        scale, bias = upcast(scale), upcast(bias)
        every_caption, every_valid = dist.gather(captions, valid)
        own = own_columns(valid)

        def nats(rows: slice) -> Tensor:
            logits = scale * images[rows] @ every_caption.T + bias
            positive = torch.zeros_like(logits, dtype=torch.bool).scatter(1, own[rows, None], True)
            pairs = -F.logsigmoid(torch.where(positive, logits, -logits))
            return pairs.masked_fill(~(valid[rows, None] & every_valid), 0).sum()

        summed = dist.total(sum_over_chunks(nats, len(valid), chunk=chunk))
        return summed / every_valid.sum().clamp(min=1)


class ImageTextSigmoid:
    """Hands `image_text_sigmoid_loss` its tensors."""

    needs: tuple[str, ...] = ("image", "caption", "scale", "bias")

    def __init__(self, *, chunk: int | None = None) -> None:
        check_chunk("chunk of the image_text_sigmoid loss", chunk)
        self.chunk = chunk

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term:
        """No logs: the value says it all."""
        assert out.caption is not None  # `needs` says so, of both
        assert out.bias is not None
        value = image_text_sigmoid_loss(
            out.image, out.caption, batch.caption_valid, out.scale, out.bias, chunk=self.chunk
        )
        return Term(value, {})
