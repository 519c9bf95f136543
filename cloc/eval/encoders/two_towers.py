"""The pictures of one encoder with the texts of another that shares its space.

For a vision tower that was tuned alone beside a text tower that was not (CLIPSelf, DenseVLM).
"""

from collections.abc import Sequence

import numpy as np
import PIL.Image
from jaxtyping import Float
from torch import Tensor

from cloc.errors import UserError
from cloc.eval.answer_cache import OPTIONAL
from cloc.eval.encoders.encoder import Encoder
from cloc.interfaces import Embedder, tokens_of


class TwoTowers:
    """All of `vision` but its texts, which are those of `text`."""

    def __init__(self, vision: Embedder, text: Embedder) -> None:
        self.vision, self.text = vision, text
        self.prepare, self.images = vision.prepare, vision.images
        self.regions, self.ground = vision.regions, vision.ground
        for name in OPTIONAL:
            if hasattr(vision, name):
                setattr(self, name, getattr(vision, name))

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return self.text.texts(texts)

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return tokens_of(self.text, texts)


def joined(vision: Encoder, text: Encoder) -> Encoder:
    """`UserError` where their vectors have not the same width, or `text` has no texts."""
    picture = vision.embedder.prepare([PIL.Image.new("RGB", (64, 64))], [np.zeros((0, 4))]).images
    sees = vision.embedder.images(picture).shape[1]
    reads = text.embedder.texts(["a"]).shape[1]
    if sees != reads:
        raise UserError(
            f"{vision.name} embeds pictures in {sees} dimensions and {text.name} texts in {reads}; "
            "give a text_encoder= of the same space"
        )
    digest = f"{vision.digest}{text.digest}" if vision.digest and text.digest else ""
    return vision._replace(
        embedder=TwoTowers(vision.embedder, text.embedder),
        name=f"{vision.name} with the texts of {text.name}",
        digest=digest,
        model=None,
        has_texts=True,
        runs_in_torch=vision.runs_in_torch and text.runs_in_torch,
    )
