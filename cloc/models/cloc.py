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

# of `cloc.data.samples.asked.columns`
QUESTION = ("question", "question_valid", "answer_at", "grounds")


class CLOC(nn.Module):
    """A tower with an optional region head (Prompter or RoIAlign) and an optional box head.

    Without a region head this is plain CLIP, the twin every comparison needs. `description` is the
    plain mapping it was built from (`cloc.models.build`), for run folders and exports. A `decoder`
    (`cloc.decoder.build`) reads the same patches and answers questions about them.
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
        self.decoder: Any = None  # what `attach` of `cloc.decoder.build` gives it
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
        phrase = asked = None
        if self.region_head is not None:
            [phrase] = cut(self._texts, batch.phrases)
            asked = None if self.box_head is None else phrase[batch.phrase_index]
        question = [None if self.decoder is None else batch.extra[name] for name in QUESTION]
        image, region, predicted_boxes, answer_nll, route_nll = cut(
            self._looks, batch.images, batch.boxes, asked, *question
        )
        told = {"answer_nll": answer_nll, "route_nll": route_nll}
        extra = {} if self.teacher is None else self.teacher(batch, pieces=accumulate)
        return Embeddings(
            image=image,
            caption=caption,
            scale=self.tower.scale(),
            bias=self.tower.bias(),
            phrase=phrase,
            region=region,
            region_scale=None if self.region_scale is None else self.region_scale(),
            predicted_boxes=predicted_boxes,
            extra={**extra, **{name: x for name, x in told.items() if x is not None}},
        )

    def _texts(self, tokens: Tensor) -> tuple[Tensor]:
        return (self.tower.texts(tokens),)

    def _looks(
        self, pixels: Tensor, boxes: Tensor, asked: Tensor | None, *question: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """Of each image; of each of its regions; the box predicted for each region's phrase; how
        unlikely the decoder finds each token of the answer, and the right one of its twin experts.
        None of what the model has not."""
        seen, grid = self.tower.images(pixels), self.tower.grid_at(pixels)
        region = predicted = None
        if self.region_head is not None:
            region, grounded = self.region_head(seen.read, boxes, asked, grid=grid, kept=seen.kept)
            region = F.normalize(upcast(region), dim=-1)
            predicted = None if self.box_head is None else self.box_head(grounded)
        nll = route = None
        if self.decoder is not None:
            nll = self.decoder.answer_nll(seen.read, grid, *question)
            route = self.decoder.route_nll(*question)
        return seen.pooled, region, predicted, nll, route

    def region_state(self) -> dict[str, Tensor]:
        """The weights that are neither the tower's nor the decoder's: what an export stores beside
        open_clip's file."""
        beside = ("tower.", "decoder.")
        return {k: v for k, v in self.state_dict().items() if not k.startswith(beside)}
