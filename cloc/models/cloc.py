"""CLOC: one image forward, one text tower, and the region head beside the untouched CLIP path."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from cloc.interfaces import Embeddings, RegionBatch
from cloc.models.accumulate import check_pieces, in_pieces
from cloc.models.per_row_random import draws_can_be_cut
from cloc.models.teacher import Teacher
from cloc.models.towers import Tower
from cloc.numerics import upcast


class CLOC(nn.Module):
    """A tower with an optional region head (Prompter or RoIAlign) and an optional box head.

    Without a region head this is plain CLIP, the twin every comparison needs. `description` is the
    plain mapping it was built from (`cloc.models.build`), for run folders and exports.
    """

    def __init__(
        self,
        tower: Tower,
        *,
        region_head: nn.Module | None,
        region_scale: nn.Module | None,
        box_head: nn.Module | None,
        description: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.tower = tower
        self.region_head = region_head
        self.region_scale = region_scale
        self.box_head = box_head
        self.description = dict(description)
        self.teacher: Teacher | None = None  # no module: neither trained, nor saved, nor sharded
        self.reads_captions = True  # False where no loss needs their embeddings

    def forward(self, batch: RegionBatch, *, accumulate: int = 1) -> Embeddings:
        """Everything the losses may need, from one pass of each tower over each input.

        With `accumulate` the towers and heads run over that many pieces of the batch, keep only
        what is returned, and run again in backward: less memory, the same gradients. With dropout
        on the same draws too, but where blocks are compiled or recomputed (`draws_can_be_cut`).
        """
        check_pieces(self, len(batch.images), accumulate)
        cut_draws = accumulate > 1 and self.training and draws_can_be_cut(self)
        cut = partial(in_pieces, pieces=accumulate, cut_draws=cut_draws)
        [caption] = cut(self._texts, batch.captions) if self.reads_captions else [None]
        scale, bias = self.tower.scale(), self.tower.bias()
        if self.region_head is None or self.region_scale is None:
            [image] = cut(self._images, batch.images)
            taught = self._taught(batch, accumulate)
            return Embeddings(image, caption, scale, bias, None, None, None, None, taught)
        [phrase] = cut(self._texts, batch.phrases)
        asked = phrase[batch.phrase_index] if self.box_head is not None else None
        image, region, predicted_boxes = cut(
            self._images_and_regions, batch.images, batch.boxes, asked
        )
        return Embeddings(
            image=image,
            caption=caption,
            scale=scale,
            bias=bias,
            phrase=phrase,
            region=region,
            region_scale=self.region_scale(),
            predicted_boxes=predicted_boxes,
            extra=self._taught(batch, accumulate),
        )

    def _taught(self, batch: RegionBatch, pieces: int) -> dict[str, Tensor]:
        return {} if self.teacher is None else self.teacher(batch, pieces=pieces)

    def _texts(self, tokens: Tensor) -> tuple[Tensor]:
        return (self.tower.texts(tokens),)

    def _images(self, pixels: Tensor) -> tuple[Tensor]:
        return (self.tower.images(pixels).pooled,)

    def _images_and_regions(
        self, pixels: Tensor, boxes: Tensor, asked: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Of each image; of each of its regions; the box predicted for each region's phrase."""
        assert self.region_head is not None
        seen = self.tower.images(pixels)
        region, grounded = self.region_head(
            seen.read, boxes, asked, grid=self.tower.grid_at(pixels), kept=seen.kept
        )
        predicted = None if self.box_head is None else self.box_head(grounded)
        return seen.pooled, F.normalize(upcast(region), dim=-1), predicted

    def region_state(self) -> dict[str, Tensor]:
        """The weights that are not the tower's: what an export stores beside open_clip's file."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith("tower.")}
