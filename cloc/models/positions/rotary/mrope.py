"""M-RoPE (Qwen2-VL, arXiv 2409.12191; revisited in arXiv 2510.23095): three streams of positions,
time, row and column, share the frequencies of one rotation.

A still has one time. Its temporal channels turn by nothing, so for an encoder of stills this is
two-axis RoPE with fewer channels; what differs between the layouts is which frequencies each axis
gets.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cloc.errors import UserError
from cloc.models.positions.place import Place
from cloc.models.positions.rotary.rotate import frequencies

LAYOUTS = ("chunked", "interleaved", "head_wise")


class MRoPE(nn.Module):
    """`sections` says how many of the f pairs of channels time, row and column take (of heads,
    where `layout` is head_wise); null: a quarter, and the rest halved.

    chunked: T..T H..H W..W, so that the axes have different frequencies. interleaved: T H W T H W
    and so on, until a section is used up; what is left is time's. head_wise: every head has one
    axis and all frequencies.
    """

    multiple = 2
    per_layer = False

    def __init__(
        self,
        head_width: int,
        num_heads: int,
        *,
        base: float = 10_000.0,
        sections: Sequence[int] | None = None,
        layout: str = "interleaved",
    ) -> None:
        super().__init__()
        if layout not in LAYOUTS:
            raise UserError(
                f"layout={layout} of model.tower.positions.rotary; choose {', '.join(LAYOUTS)}"
            )
        whole = num_heads if layout == "head_wise" else head_width // 2
        given = _quarter(whole) if sections is None else list(sections)
        if len(given) != 3 or min(given) < 0 or sum(given) != whole:
            what = "heads" if layout == "head_wise" else "pairs of channels of a head"
            raise UserError(
                f"sections={given} of model.tower.positions.rotary: give three whole numbers, of "
                f"time, row and column, whose sum is the {whole} {what}, or null"
            )
        self.count, self.base, self.layout, self.sections = head_width // 2, base, layout, given

    def forward(self, place: Place, device: torch.device) -> Float[Tensor, "one g p f"]:
        """Angles of every patch: of all heads, or where `layout` is head_wise of each."""
        where = place.coordinates(device)
        streams = torch.cat([torch.zeros_like(where[..., :1]), where], -1)  # time is 0
        return self.angles(streams)

    def angles(self, streams: Float[Tensor, "one p three"]) -> Float[Tensor, "one g p f"]:
        """Of positions in time, row and column, as a decoder gives them to its tokens too."""
        own = frequencies(self.count, self.base, device=streams.device)
        stream = stream_of(self.layout, self.sections).to(streams.device)
        picked = streams[..., stream]  # of each pair of channels, or each head
        if self.layout == "head_wise":
            return picked.transpose(1, 2)[..., None] * own
        return (picked * own)[:, None]


def stream_of(layout: str, sections: Sequence[int]) -> Int[Tensor, " f"]:
    """Which stream each pair of channels (or head) turns with: 0 time, 1 row, 2 column."""
    if layout != "interleaved":
        return torch.arange(3).repeat_interleave(torch.tensor(list(sections)))
    found = torch.zeros(sum(sections), dtype=torch.long)
    for axis in (1, 2):
        found[axis : 3 * sections[axis] : 3] = axis
    return found


def _quarter(whole: int) -> list[int]:
    time = whole // 4
    row = (whole - time) // 2
    return [time, row, whole - time - row]
