"""A trained model as an `Embedder`: pictures and words in, unit vectors and boxes out."""

from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.errors import UserError
from cloc.frame import Framing, height_and_width
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
from cloc.models.values import value_patches


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
        # of the tokens of prepared pixels, before the region head reads them: for a control alone
        self.reorder: Callable[[Tensor, Tensor], Tensor] | None = None
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
        tokens = self._read(x)
        region, _ = self.model.region_head(
            tokens, boxes.to(self.device), None, grid=tower.grid_at(x)
        )
        return F.normalize(region.float(), dim=-1).cpu()

    @torch.no_grad()
    def patches(self, x: Tensor, *, values: bool = False) -> tuple[Tensor, tuple[int, int]]:
        """Patches of prepared pixels in the joint space, [b, rows * columns, d] on the model's
        device, not unit length, and rows and columns; with `values` of each patch its own value in
        the last attention, not mixed (`cloc.models.values`). `UserError` where the tower has no
        such patches: one that pools by attention has only `values`, a convolutional one none."""
        tower = self.model.tower
        x = check_prepared(x, tower.image_size)
        grid = tower.grid_at(x)
        if not len(x):
            return torch.zeros(0, grid[0] * grid[1], tower.dim, device=self.device), grid
        x = x.to(self.device)
        if values:
            return value_patches(tower, x), grid
        return tower.dense(tower.images(x).tokens), grid

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
        tokens = self._read(x)
        _, grounded = model.region_head(
            tokens, None, asked.to(self.device), grid=model.tower.grid_at(x)
        )
        boxes = model.box_head(grounded).cpu()
        return [row[:count] for row, count in zip(boxes, counts, strict=True)]

    def _read(self, x: Tensor) -> Float[Tensor, "b p w"]:
        """What the region head reads."""
        tokens = self.model.tower.images(x.to(self.device)).read
        return tokens if self.reorder is None else self.reorder(x, tokens)

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
