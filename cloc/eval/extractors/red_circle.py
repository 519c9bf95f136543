"""Region embeddings of any encoder: the whole picture with a red ellipse around the box.

"What does CLIP know about a red circle?" (Shtedritski et al. 2023, arXiv 2304.06712).
"""

from collections.abc import Iterator

import numpy as np
import PIL.Image
from PIL.ImageDraw import Draw

from cloc.eval.extractors.image_space import ImageSpaceEmbedder, pixels_of
from cloc.frame import as_rgb
from cloc.interfaces import Embedder

RED = (255, 0, 0)
LINE = 0.01  # of the picture's shorter side


def extractor(embedder: Embedder) -> ImageSpaceEmbedder:
    """Works on every encoder."""
    return ImageSpaceEmbedder(embedder, circled)


def circled(image: PIL.Image.Image, boxes: np.ndarray) -> Iterator[PIL.Image.Image]:
    """`image` once per box, an ellipse drawn on it; transparent pixels show white.

    The inner edge of the line touches the box's sides, so nothing of a small thing is painted over;
    it is 1 % of the picture's shorter side wide, at least one pixel, and cut at the border.
    """
    image = as_rgb(image)
    line = max(round(LINE * min(image.size)), 1)
    for box in boxes:
        x0, y0, x1, y1 = pixels_of(box, image.size)
        shown = image.copy()
        around = (x0 - line, y0 - line, x1 - 1 + line, y1 - 1 + line)  # Pillow's last pixel counts
        Draw(shown).ellipse(around, outline=RED, width=line)
        yield shown
