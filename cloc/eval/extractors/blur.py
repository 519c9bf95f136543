"""Region embeddings of any encoder: the whole picture, sharp inside of the box alone.

ReCLIP (Subramanian et al. 2022, arXiv 2204.05991) blurs the rest by a Gaussian of 100 pixels.
"""

from collections.abc import Iterator

import numpy as np
import PIL.Image
from PIL.ImageFilter import GaussianBlur

from cloc.eval.extractors.image_space import ImageSpaceEmbedder, pixels_of
from cloc.frame import as_rgb
from cloc.interfaces import Embedder

SIGMA = 100 / 640  # of the longer side: ReCLIP's pictures are COCO's, 640 pixels long


def extractor(embedder: Embedder) -> ImageSpaceEmbedder:
    """Works on every encoder."""
    return ImageSpaceEmbedder(embedder, blurred)


def blurred(image: PIL.Image.Image, boxes: np.ndarray) -> Iterator[PIL.Image.Image]:
    """`image` once per box, blurred outside of it; transparent pixels show white.

    The standard deviation is 100/640 of the picture's longer side, so a picture is blurred alike at
    any resolution and by 100 pixels at COCO's. Pillow's filter, which ReCLIP used, is three box
    blurs, and repeats the border.
    """
    image = as_rgb(image)
    everywhere = image.filter(GaussianBlur(SIGMA * max(image.size)))
    for box in boxes:
        sharp = pixels_of(box, image.size)
        shown = everywhere.copy()
        shown.paste(image.crop(sharp), sharp[:2])
        yield shown
