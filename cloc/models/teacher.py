"""A frozen tower that a run learns from: image embeddings, and embeddings of the boxes' crops."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from cloc.frame import height_and_width
from cloc.interfaces import RegionBatch
from cloc.models.towers import Tower

IMAGE, REGION = "teacher_image", "teacher_region"


class Teacher:
    """Of a batch `teacher_image` [b d] and, with `REGION` in `fields`, `teacher_region` [b r d]:
    unit vectors without gradient.

    A region is cut out of the image the model sees, resized to fit the tower's input and centred on
    black, as the crop extractor does it (CLIPSelf, arXiv 2310.01403). Padded regions hold no
    meaning. No module, so that nobody trains, saves or spreads its weights.
    """

    def __init__(self, tower: Tower, fields: Iterable[str]) -> None:
        self.tower = tower.eval().requires_grad_(False)
        self.fields = frozenset(fields)

    @torch.no_grad()
    def __call__(self, batch: RegionBatch, *, pieces: int = 1) -> dict[str, Tensor]:
        """Over at most `pieces` parts of the batch after each other."""
        self.tower.to(batch.images.device)
        parts = [
            self._of(images, boxes)
            for images, boxes in zip(
                batch.images.chunk(pieces), batch.boxes.chunk(pieces), strict=True
            )
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _of(self, images: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        found = {IMAGE: self.tower.images(images).pooled}
        if REGION in self.fields:
            cut = crops(images, boxes, size=height_and_width(self.tower.image_size))
            found[REGION] = self.tower.images(cut).pooled.unflatten(0, boxes.shape[:2])
        return found


def crops(
    images: UInt8[Tensor, "b 3 h w"], boxes: Float[Tensor, "b r 4"], *, size: tuple[int, int]
) -> UInt8[Tensor, "n 3 y x"]:
    """The pixels of every box, row after row, bilinear, as large as `size` (height, width) holds
    them, centred on black; an empty box is black."""
    height, width = size
    corners = boxes.flatten(0, 1)
    wide = (corners[:, 2] - corners[:, 0]) * images.shape[3]
    high = (corners[:, 3] - corners[:, 1]) * images.shape[2]
    scale = torch.maximum(wide / width, high / height).clamp(min=1e-6)  # image pixels per pixel
    centre = (corners[:, :2] + corners[:, 2:]) / 2
    y, x = (torch.arange(n, device=boxes.device) + 0.5 - n / 2 for n in size)
    # of every pixel of a crop: its distance from the box's centre, in pixels of the image
    dx, dy = scale[:, None] * x, scale[:, None] * y
    inside = (dy.abs()[:, :, None] <= high[:, None, None] / 2) & (
        dx.abs()[:, None, :] <= wide[:, None, None] / 2
    )
    at_x = 2 * (centre[:, :1] + dx / images.shape[3]) - 1
    at_y = 2 * (centre[:, 1:] + dy / images.shape[2]) - 1
    at = torch.stack(
        [at_x[:, None, :].expand_as(inside), at_y[:, :, None].expand_as(inside)], dim=-1
    )
    own = images.float().repeat_interleave(boxes.shape[1], 0)
    cut = F.grid_sample(own, at, padding_mode="border", align_corners=False)
    return (cut * inside[:, None]).round().to(torch.uint8)
