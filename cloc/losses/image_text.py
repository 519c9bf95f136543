"""The symmetric softmax loss between images and their captions (CLIP, arXiv 2103.00020)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cloc import dist
from cloc.interfaces import Embeddings, RegionBatch, Term
from cloc.losses.shared.rows import check_chunk, own_columns, sum_over_chunks, wipe
from cloc.numerics import full_precision, upcast


def image_text_loss(
    images: Float[Tensor, "n d"],
    captions: Float[Tensor, "n d"],
    valid: Bool[Tensor, " n"],
    scale: Float[Tensor, ""],
    *,
    chunk: int | None = None,
) -> Float[Tensor, ""]:
    """Symmetric InfoNCE in nats over the valid rows of all ranks; 0 where there are none.

    Row i of both inputs is a positive pair of unit vectors. An image without a caption is neither
    a row nor a column in either direction. Every rank returns the same global value. With `chunk`
    the square of similarities is made that many rows at a time and again in backward.
    """
    with full_precision(images):
        images, captions, scale = wipe(images, valid), wipe(captions, valid), upcast(scale)
        every_image, every_caption, every_valid = dist.gather(images, captions, valid)
        own = own_columns(valid)
        target = own.masked_fill(~valid, -100)  # the index that cross_entropy leaves out

        def nats(rows: slice) -> Tensor:
            # the own column stays even in a padded row: softmax over nothing would be NaN
            hidden = (~every_valid).repeat(len(own[rows]), 1).scatter(1, own[rows, None], False)
            to_caption = (scale * images[rows] @ every_caption.T).masked_fill(hidden, -torch.inf)
            to_image = (scale * captions[rows] @ every_image.T).masked_fill(hidden, -torch.inf)
            terms = [
                F.cross_entropy(x, target[rows], reduction="sum") for x in (to_caption, to_image)
            ]
            return terms[0] + terms[1]

        summed = dist.total(sum_over_chunks(nats, len(valid), chunk=chunk))
        return summed / (2 * every_valid.sum().clamp(min=1))


class ImageText:
    """Hands `image_text_loss` its tensors."""

    needs: tuple[str, ...] = ("image", "caption", "scale")

    def __init__(self, *, chunk: int | None = None) -> None:
        check_chunk("chunk of the image_text loss", chunk)
        self.chunk = chunk

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term:
        """No logs: the value says it all."""
        assert out.caption is not None  # `needs` says so
        value = image_text_loss(
            out.image, out.caption, batch.caption_valid, out.scale, chunk=self.chunk
        )
        return Term(value, {})
