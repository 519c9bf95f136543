"""The region head of the run itself, under a name as the other extractors have one."""

import numpy as np
import PIL.Image

from cloc.errors import UserError
from cloc.interfaces import Embedder


def extractor(embedder: Embedder) -> Embedder:
    """`embedder` as it is: its own regions, and its own grounding. `UserError` where it has no
    regions of its own, as a plain CLIP."""
    box = np.array([[0, 0, 8, 8]], np.float32)
    x, boxes, valid = embedder.prepare([PIL.Image.new("RGB", (8, 8))], [box])
    try:
        embedder.regions(x, boxes, valid)
    except UserError as error:
        raise UserError(f"prompter: {error}") from None
    return embedder
