"""Region embeddings of any encoder: the crop of a box with a margin of what is around it."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import PIL.Image

from cloc.errors import UserError
from cloc.eval.extractors.crop import crops
from cloc.eval.extractors.image_space import ImageSpaceEmbedder
from cloc.interfaces import Embedder

SHARE = 0.5


def extractor(embedder: Embedder, *, share: float = SHARE) -> ImageSpaceEmbedder:
    """Works on every encoder. On each of its sides a box grows by `share` of its own width or
    height (0.5: twice as wide and high), and is cut at the border of the picture."""
    if not 0 <= share < float("inf"):
        raise UserError(f"crop_context: share={share}; give a share of the box's sides, 0 or more")
    return ImageSpaceEmbedder(embedder, partial(_wide_crops, share=share))


def _wide_crops(
    image: PIL.Image.Image, boxes: np.ndarray, *, share: float
) -> Iterator[PIL.Image.Image]:
    margin = share * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return crops(image, boxes + margin * [-1, -1, 1, 1])
