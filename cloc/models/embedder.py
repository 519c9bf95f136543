"""A trained model as an `Embedder`: pictures and words in, unit vectors and boxes out."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.errors import UserError
from cloc.frame import Framing, height_and_width
from cloc.heads.roi_align import pool_boxes
from cloc.interfaces import Prepared
from cloc.models.cloc import CLOC
from cloc.models.framing import in_frame
from cloc.models.inputs import (
    check_phrases,
    check_pictures,
    check_pixel_boxes,
    check_prepared,
    check_regions,
    check_texts,
)
from cloc.models.show import draw, see


class ModelEmbedder:
    """Frames are those of `framing`, by default `cloc.frame`'s: the image resized to fit, centred
    on black. Of a box that a frame cuts, what is inside is the box.

    Regions come from the model's own head; where it has none (plain CLIP), asking for regions or
    boxes is an error that names the extractors which work on any encoder.
    """

    def __init__(
        self, model: CLOC, *, framing: Framing | None = None, text_batch: int = 512
    ) -> None:
        self.model = model.eval()
        self.framing = framing or Framing("pad", model.tower.image_size)
        self.text_batch = text_batch
        self.tokenize = model.tower.tokenizer()

    @property
    def device(self) -> torch.device:
        """Where the model lives; inputs are moved there."""
        return self.model.tower.mean.device

    def prepare(
        self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray] | None = None
    ) -> Prepared:
        """`boxes` are pixels of each image as people see it, upright, [n, 4]; padded to the longest
        list of the batch; None: none. What is transparent shows the tower's background."""
        background = self.model.tower.background
        return in_frame(images, boxes, framing=self.framing, background=background)

    @torch.no_grad()
    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        """Pooled image embeddings of prepared pixels."""
        x = check_prepared(x, self.model.tower.image_size)
        if not len(x):
            return torch.zeros(0, self.model.tower.dim)
        return self.model.tower.images(x.to(self.device)).pooled.cpu()

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """At the tower's full context, in batches; what is longer is cut off."""
        tower, texts = self.model.tower, check_texts(texts)
        parts = [torch.zeros(0, tower.dim)]
        for start in range(0, len(texts), self.text_batch):
            tokens = self.tokenize(texts[start : start + self.text_batch], tower.context_length)
            parts.append(tower.texts(tokens.to(self.device)).cpu())
        return torch.cat(parts)

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        """What the text tower reads of each text, at its full context: equal for equal texts."""
        found, texts = [], check_texts(texts, "tokens")
        length = self.model.tower.context_length
        for start in range(0, len(texts), self.text_batch):
            rows = self.tokenize(texts[start : start + self.text_batch], length)
            found += [row.tobytes() for row in rows.numpy()]
        return found

    @torch.no_grad()
    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"] | None = None
    ) -> Float[Tensor, "b r d"]:
        """The region head's answer to each box, in fractions of the frame as `prepare` gives them;
        rows that are not `valid` hold no meaning, and None counts all."""
        if self.model.region_head is None:
            raise UserError(
                "this model has no region head; measure it with the crop or roi extractor"
            )
        tower = self.model.tower
        x = check_prepared(x, tower.image_size)
        boxes, _ = check_regions(boxes, valid, len(x))
        if not len(x):
            return torch.zeros(*boxes.shape[:2], tower.dim)
        tokens = tower.images(x.to(self.device)).tokens
        region, _ = self.model.region_head(
            tokens, boxes.to(self.device), None, grid=tower.grid_at(x)
        )
        return F.normalize(region.float(), dim=-1).cpu()

    @torch.no_grad()
    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        """One box per phrase and picture, in fractions of the frame, whose edges it may pass; None
        where the model has no box head."""
        model = self.model
        x = check_prepared(x, model.tower.image_size)
        phrases = check_phrases(phrases, len(x))
        if model.box_head is None or model.region_head is None:
            return None
        if not phrases:
            return []
        counts = [len(group) for group in phrases]
        flat = self.texts([phrase for group in phrases for phrase in group])
        asked = flat.new_zeros(len(phrases), max(counts, default=0), model.tower.dim)
        for row, part in zip(asked, flat.split(counts), strict=True):
            row[: len(part)] = part
        tokens = model.tower.images(x.to(self.device)).tokens
        _, grounded = model.region_head(
            tokens, None, asked.to(self.device), grid=model.tower.grid_at(x)
        )
        boxes = model.box_head(grounded).cpu()
        return [row[:count] for row, count in zip(boxes, counts, strict=True)]

    def show(
        self,
        image: PIL.Image.Image,
        phrases: Sequence[str],
        boxes: np.ndarray | Sequence[Sequence[float]] = (),
    ) -> PIL.Image.Image:
        """A picture to look at: a panel per phrase with its heat map, the box found for it solid
        and the given `boxes` (pixels, as `prepare` takes them) dashed; of no phrase the boxes."""
        [seen] = check_pictures([image], self.model.tower.background)
        [given] = check_pixel_boxes([boxes], [seen])
        asked = list(dict.fromkeys(check_texts(phrases, "show")))
        if asked and self.model.region_head is None:
            raise UserError(
                "show has nothing to find phrases with: this model is a plain CLIP, without a "
                "region head; images(x) @ texts(phrases).T compares the whole picture"
            )
        return draw(seen, see(self, seen, asked), given)

    def __repr__(self) -> str:
        weights = sum(p.numel() for p in self.model.parameters()) / 1e6
        height, width = height_and_width(self.model.tower.image_size)
        heads = {"region head": self.model.region_head, "box head": self.model.box_head}
        has = [name for name, head in heads.items() if head is not None] or ["no region head"]
        return (
            f"{type(self).__name__}({height} x {width} px, {self.model.tower.dim} dimensions, "
            f"{weights:.1f} M weights, {', '.join(has)}, on {self.device})"
        )


class RoIEmbedder:
    """The same model, its regions taken as RoIAlign over the projected patch tokens.

    The line a plain CLIP is measured on without any region head.
    """

    def __init__(self, model: CLOC) -> None:
        self.own = ModelEmbedder(model)

    def prepare(
        self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray] | None = None
    ) -> Prepared:
        return self.own.prepare(images, boxes)

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        return self.own.images(x)

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return self.own.texts(texts)

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return self.own.tokens(texts)

    @torch.no_grad()
    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"] | None = None
    ) -> Float[Tensor, "b r d"]:
        """The mean projected patch token inside each box."""
        tower, device = self.own.model.tower, self.own.device
        x = check_prepared(x, tower.image_size)
        boxes, _ = check_regions(boxes, valid, len(x))
        if not len(x):
            return torch.zeros(*boxes.shape[:2], tower.dim)
        dense = tower.dense(tower.images(x.to(device)).tokens)
        pooled = pool_boxes(dense, boxes.to(device), tower.grid_at(x), 3)
        return F.normalize(pooled, dim=-1).cpu()

    def ground(self, x: Tensor, phrases: Sequence[Sequence[str]]) -> None:
        """RoIAlign has no answer to a phrase."""
        return None
