"""CoCa of open_clip: it pools by attention before anybody can see a patch, so it cannot be trained
here, but it embeds pictures and texts (and boxes, by the extractors that show pixels)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import open_clip
import PIL.Image
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.errors import UserError
from cloc.eval.encoders import digest
from cloc.eval.encoders.encoder import Encoder, chosen
from cloc.frame import WHITE, Framing, fitted
from cloc.interfaces import Prepared
from cloc.models.framing import in_frame
from cloc.models.inputs import check_prepared, check_texts
from cloc.models.start import Start
from cloc.models.tokenizers import make_tokenizer

TEXTS_AT_ONCE = 256


class CoCa:
    """Pictures in `framing`, normalised by the mean and std of `start`, whose weights it takes."""

    def __init__(self, start: Start, framing: Framing, device: torch.device) -> None:
        assert start.state is not None
        config = {key: part for key, part in start.config.items() if key != "custom_text"}
        self.model: Any = open_clip.CoCa(**config)
        self.model.load_state_dict(start.state)
        self.model.eval().to(device)
        self.framing, self.device = framing, device
        self.tokenize = make_tokenizer(start.config, folder=start.folder)
        self.length: int = start.config["text_cfg"].get("context_length", 77)
        mean, std = (torch.tensor(x, device=device) for x in _statistics(start))
        self.mean, self.std = mean.view(3, 1, 1), std.view(3, 1, 1)

    def prepare(
        self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray] | None = None
    ) -> Prepared:
        return in_frame(images, boxes, framing=self.framing, background=WHITE)

    @torch.no_grad()
    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        x = check_prepared(x, self.framing.size).to(self.device)
        seen = (x.float() / 255 - self.mean) / self.std
        vectors: Tensor = self.model.encode_image(seen, normalize=True)
        return vectors.float().cpu()

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """At the full context; what is longer is cut off."""
        parts = self._ids(texts).split(TEXTS_AT_ONCE)
        found = [self.model.encode_text(p.to(self.device), normalize=True) for p in parts]
        return torch.cat(found).float().cpu()

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return [row.numpy().tobytes() for row in self._ids(texts)] if texts else []

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        raise UserError("CoCa has no regions of its own; take extractors=[crop]")

    def ground(self, x: Tensor, phrases: Sequence[Sequence[str]]) -> None:
        """It has no answer to a phrase."""
        return None

    def _ids(self, texts: Sequence[str]) -> Tensor:
        return self.tokenize(check_texts(texts), self.length)


def is_coca(start: Start) -> bool:
    """A model with a decoder of captions on top."""
    return "multimodal_cfg" in start.config


def of_start(start: Start, name: str, frame: str, device: torch.device) -> Encoder:
    """What open_clip's own `encode_image` and `encode_text` say, in its own preprocessing."""
    size = start.config["vision_cfg"].get("image_size", 224)
    own = fitted(start.framing, size)
    assert own is not None
    framing = own if frame == "own" else chosen(frame, own)
    embedder = CoCa(start, framing, device)
    words = (str(framing), str(_statistics(start)))
    told = digest.of_weights(embedder.model.state_dict(), *words)
    return Encoder(embedder, name, framing, f"{frame}: {framing}", told, has_regions=False)


def _statistics(start: Start) -> tuple[Sequence[float], Sequence[float]]:
    return (
        start.mean or open_clip.constants.OPENAI_DATASET_MEAN,
        start.std or open_clip.constants.OPENAI_DATASET_STD,
    )
