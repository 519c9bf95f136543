"""From a grounded embedding to a box."""

from jaxtyping import Float
from torch import Tensor, nn

from cloc import boxes
from cloc.errors import UserError
from cloc.numerics import upcast


class BoxHead(nn.Module):
    """A 2-layer GELU MLP with four outputs (CLOC, section 3.3).

    `form: corners` is the paper's: the four numbers are the box, unbounded and possibly reversed.
    `form: centre` passes them through a sigmoid as (centre, size), so a box is always ordered and
    its centre lies in the frame, which a GIoU term needs.
    """

    def __init__(self, dim: int, *, hidden: int | None = None, form: str = "centre") -> None:
        super().__init__()
        if form not in ("corners", "centre"):
            raise UserError(f"model.box_head.form={form!r}; choose corners or centre")
        self.form = form
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden or dim), nn.GELU(), nn.Linear(hidden or dim, 4)
        )

    def forward(self, grounded: Float[Tensor, "*n d"]) -> Float[Tensor, "*n 4"]:
        out = upcast(self.mlp(grounded))
        return boxes.from_centre(out.sigmoid()) if self.form == "centre" else out
