"""CLOC: one image forward, one text tower, and the region head beside the untouched CLIP path."""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from cloc.interfaces import Embeddings, RegionBatch
from cloc.loss_parts import upcast
from cloc.models.towers import Tower


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
        self.description = description

    def forward(self, batch: RegionBatch) -> Embeddings:
        """Everything the losses may need, from one pass of each tower over each input."""
        tokens, image, kept = self.tower.images(batch.images)
        caption = self.tower.texts(batch.captions)
        scale, bias = self.tower.scale(), self.tower.bias()
        if self.region_head is None or self.region_scale is None:
            return Embeddings(image, caption, scale, bias, None, None, None, None, {})
        phrase = self.tower.texts(batch.phrases)
        asked = phrase[batch.phrase_index] if self.box_head is not None else None
        region, grounded = self.region_head(
            tokens, batch.boxes, asked, grid=self.tower.grid, kept=kept
        )
        return Embeddings(
            image=image,
            caption=caption,
            scale=scale,
            bias=bias,
            phrase=phrase,
            region=F.normalize(upcast(region), dim=-1),
            region_scale=self.region_scale(),
            predicted_boxes=None if self.box_head is None else self.box_head(grounded),
            extra={},
        )

    def region_state(self) -> dict[str, Tensor]:
        """The weights that are not the tower's: what an export stores beside open_clip's file."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith("tower.")}
