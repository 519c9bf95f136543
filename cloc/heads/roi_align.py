"""RoIAlign over the un-pooled tokens: the ablation baseline beside the Prompter."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torchvision.ops import roi_align

from cloc.errors import UserError


class RoIAlign(nn.Module):
    """The mean of 2 `samples` x 2 `samples` bilinear points of a box, evenly spaced, projected
    (CLOC table 2, row 4).

    Same signature as the Prompter, except that a phrase has no box to look at: grounding with it is
    an error.
    """

    def __init__(self, width: int, dim: int, *, samples: int = 3) -> None:
        super().__init__()
        self.samples = samples
        self.norm_out = nn.LayerNorm(width)
        self.project = nn.Linear(width, dim, bias=False)

    def forward(
        self,
        tokens: Float[Tensor, "b p w"],
        boxes: Float[Tensor, "b r 4"] | None,
        phrases: Float[Tensor, "b g d"] | None,
        *,
        grid: tuple[int, int],
        kept: Int[Tensor, "b p"] | None = None,
    ) -> tuple[Float[Tensor, "b r d"] | None, None]:
        """An embedding per box, not unit length."""
        if kept is not None:
            raise UserError(
                "RoIAlign looks at places whose patches are left out; set patch_dropout=0, or use "
                "the prompter"
            )
        if phrases is not None:
            raise UserError(
                "RoIAlign cannot look for a phrase; set model.box_head=null and leave the "
                "grounding loss out, or use the prompter"
            )
        if boxes is None:
            return None, None
        pooled = pool_boxes(tokens, boxes, grid, self.samples).to(tokens.dtype)
        return self.project(self.norm_out(pooled)), None


def pool_boxes(
    tokens: Float[Tensor, "b p c"],
    boxes: Float[Tensor, "b r 4"],
    grid: tuple[int, int],
    samples: int,
) -> Float[Tensor, "b r c"]:
    """Mean token inside each box, in float32 (torchvision's kernel has no bf16 on every device)."""
    rows, columns = grid
    maps = tokens.float().transpose(1, 2).unflatten(2, (rows, columns))
    x, y = boxes.float()[..., 0::2] * columns, boxes.float()[..., 1::2] * rows
    cells = torch.stack([x, y], -1).flatten(-2)
    # neither `len` nor `repeat_interleave`: exports are traced with a free number of both
    owner = torch.arange(boxes.shape[0], device=boxes.device)[:, None].expand(boxes.shape[:2])
    indexed = torch.cat([owner.reshape(-1, 1).float(), cells.flatten(0, 1)], 1)
    pooled = roi_align(maps, indexed, output_size=samples, sampling_ratio=2, aligned=True)
    return pooled.mean((2, 3)).unflatten(0, boxes.shape[:2])
