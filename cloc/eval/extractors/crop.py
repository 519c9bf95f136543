"""Region embeddings of any encoder: every box is cut from the original pixels and embedded alone.

This is how a plain CLIP is measured on the same boxes.
"""

from collections.abc import Iterator

import numpy as np
import PIL.Image

from cloc.eval.extractors.image_space import ImageSpaceEmbedder, pixels_of
from cloc.interfaces import Embedder


def extractor(embedder: Embedder) -> ImageSpaceEmbedder:
    """Works on every encoder."""
    return ImageSpaceEmbedder(embedder, crops)


def crops(image: PIL.Image.Image, boxes: np.ndarray) -> Iterator[PIL.Image.Image]:
    """One crop per box."""
    return (crop(image, box) for box in boxes)


def crop(image: PIL.Image.Image, box: np.ndarray) -> PIL.Image.Image:
    """The pixels of `box` (x0, y0, x1, y1) rounded and cut at the border, at least 1 x 1."""
    return image.crop(pixels_of(box, image.size))
