"""Where the tokens of a sequence of pictures and words stand, and how queries and keys turn by it.

A token has three positions: in time, row and column. Those of a word are equal. How the patches of
a picture stand is the choice: one after the other like words, or on their grid (M-RoPE, arXiv
2409.12191; revisited in arXiv 2510.23095).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc.errors import UserError
from cloc.models.positions.rotary.mrope import MRoPE
from cloc.models.positions.rotary.rotate import frequencies

Part = int | tuple[int, int]  # so many words, or a picture of so many rows and columns
KINDS = ("flat", "axial", "mrope")
KEY, KEY_OF_TOWERS = "decoder.language.rotary", "model.tower.positions.rotary"


class Rotary(nn.Module):
    """flat: a patch stands behind the one before it, as a word does (1-D RoPE, arXiv 2104.09864).
    axial: half of the pairs of channels turn with the column, half with the row, each half with all
    frequencies. mrope: `sections` and `layout` of `MRoPE` say which of the three positions turns
    which pair.

    On a grid, a picture's rows and columns count from where the text has come to, all of it at one
    time; with `spatial_reset` from 0 in every picture. What follows stands one behind the furthest
    position so far. `UserError` for options that are not there, or that change nothing.
    """

    def __init__(
        self,
        head_width: int,
        num_heads: int,
        *,
        kind: str = "mrope",
        base: float = 10_000.0,
        sections: Sequence[int] | None = None,
        layout: str = "interleaved",
        spatial_reset: bool = False,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise UserError(f"kind={kind} of {KEY}; choose {', '.join(KINDS)}")
        if not 0 < base < float("inf"):
            raise UserError(f"base={base} of {KEY}; give a number above 0")
        idle = {
            "sections": kind != "mrope" and sections is not None,
            "spatial_reset": kind == "flat" and spatial_reset,
        }
        if given := [name for name, is_given in idle.items() if is_given]:
            raise UserError(f"{given[0]} of {KEY} changes nothing with kind={kind}; leave it out")
        multiple = 4 if kind == "axial" else 2
        if head_width % multiple:
            raise UserError(
                f"kind={kind} of {KEY} turns channels in {multiple}s, but a head has {head_width}; "
                "change decoder.language.width or decoder.language.num_heads"
            )
        self.kind, self.base, self.spatial_reset = kind, base, spatial_reset
        self.quarter = head_width // 4
        try:
            self.three = MRoPE(head_width, num_heads, base=base, sections=sections, layout=layout)
        except UserError as error:  # which names the keys of a tower
            raise UserError(str(error).replace(KEY_OF_TOWERS, KEY)) from None

    def positions(
        self, parts: Sequence[Part], *, start: float = 0.0
    ) -> tuple[Float[Tensor, "n three"], float]:
        """Time, row and column of every token of `parts`, one behind the other from `start`, and
        where the token that follows them stands."""
        found, here = [torch.zeros(0, 3)], start
        for part in parts:
            if isinstance(part, int) or self.kind == "flat":
                count = part if isinstance(part, int) else part[0] * part[1]
                own = (here + torch.arange(count, dtype=torch.float32))[:, None].expand(-1, 3)
            else:
                own = self._picture(*part, here)
            found.append(own)
            here = max(here, float(own.max()) + 1) if len(own) else here
        return torch.cat(found), here

    def _picture(self, rows: int, columns: int, here: float) -> Float[Tensor, "p three"]:
        first = 0.0 if self.spatial_reset else here
        sides = [first + torch.arange(side, dtype=torch.float32) for side in (rows, columns)]
        grid = torch.stack(torch.meshgrid(*sides, indexing="ij"), -1).flatten(0, 1)
        return torch.cat([torch.full((len(grid), 1), here), grid], 1)

    def forward(self, positions: Float[Tensor, "#b n three"]) -> Float[Tensor, "#b g n f"]:
        """The angle of each pair of channels in radians; g is 1 but for head-wise sections."""
        if self.kind != "axial":
            return self.three.angles(positions)
        own = frequencies(self.quarter, self.base, device=positions.device)
        _, row, column = positions.unbind(-1)
        return torch.cat([column[..., None] * own, row[..., None] * own], -1)[:, None]
