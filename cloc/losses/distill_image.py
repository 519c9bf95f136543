"""Image embeddings held to those of a frozen teacher, so that fine-tuning forgets less."""

from jaxtyping import Float
from torch import Tensor

from cloc import dist
from cloc.interfaces import Embeddings, RegionBatch, Term
from cloc.losses.shared.rows import one_minus_cosine
from cloc.numerics import full_precision


def distill_image_loss(
    images: Float[Tensor, "b d"], teacher: Float[Tensor, "b e"]
) -> Float[Tensor, ""]:
    """1 - cosine of an image's two embeddings, the mean over the images of all ranks, in [0, 2].

    Rows are unit vectors, for which the squared distance in use elsewhere (CLIP-KD, arXiv
    2307.12732) is twice this. All images count, without a caption and without a region too. The
    teacher gets no gradient. Every rank returns the same global value.
    """
    with full_precision(images):
        summed = dist.total(one_minus_cosine(images, teacher).sum())
        return summed / max(len(images) * dist.world_size(), 1)


class DistillImage:
    """Hands `distill_image_loss` its tensors."""

    needs: tuple[str, ...] = ("image", "extra.teacher_image")

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term:
        """No logs: the value says it all."""
        return Term(distill_image_loss(out.image, out.extra["teacher_image"]), {})
