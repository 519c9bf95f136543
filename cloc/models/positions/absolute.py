"""Tables of positions, learned or fixed, carried over to another grid or length of text."""

import math
from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cloc.errors import UserError

IMAGE_TABLES = (
    "visual.positional_embedding",
    "visual.trunk.pos_embed",
    "visual.attnpool.positional_embedding",
)
ABSOLUTE = ("learned", "sincos", "none")
TEXT_TABLES = ("positional_embedding", "text.positional_embedding")


class Kernel(NamedTuple):
    """How a table of image positions is resampled: the arguments of torch's `interpolate`."""

    interpolation: str = "bicubic"  # or bilinear
    antialias: bool = True


def make_kernel(options: Mapping[str, Any] | None) -> Kernel:
    """Raises `UserError` for what `Kernel` has not."""
    given = dict(options or {})
    kernel = Kernel(**given) if set(given) <= set(Kernel._fields) else None
    if kernel is None or kernel.interpolation not in ("bicubic", "bilinear"):
        raise UserError(
            f"model.tower.positions.absolute={given}; it has kind, interpolation (bicubic or "
            "bilinear) and antialias (true or false)"
        )
    return kernel


def set_absolute(visual: Any, kind: str) -> None:
    """Of open_clip's `visual`: its learned table, the fixed one in its place (`sincos`), or zeros,
    which is none. What is not learned is no weight. A fixed table is in the state, so that another
    image size resamples the one that the tower was trained with; where a state is without (of an
    older run), it is that of the visual's own grid."""
    if kind == "learned":
        return
    table: Tensor = visual.positional_embedding
    fixed = torch.zeros_like(table.data)
    if kind == "sincos":
        fixed[1:] = sincos(tuple(visual.grid_size), table.shape[1]).to(fixed)
        visual.register_load_state_dict_pre_hook(_with_table)
    del visual.positional_embedding
    visual.register_buffer("positional_embedding", fixed, persistent=kind == "sincos")


def _with_table(
    visual: Any, state: MutableMapping[str, Tensor], prefix: str, *_: Any, **__: Any
) -> None:
    state.setdefault(f"{prefix}positional_embedding", visual.positional_embedding)


def sincos(grid: tuple[int, int], width: int) -> Float[Tensor, "p w"]:
    """Fixed positions of `grid` rows and columns (MAE, arXiv 2111.06377): the sines, then the
    cosines of the column in the first half of the channels, of the row in the second, at
    frequencies 10,000^(-m / (width / 4)). Computed in float64."""
    own = 10_000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    rows, columns = (torch.arange(side, dtype=torch.float64)[:, None] * own for side in grid)
    of_row = torch.cat([rows.sin(), rows.cos()], 1)[:, None].expand(-1, grid[1], -1)
    of_column = torch.cat([columns.sin(), columns.cos()], 1)[None].expand(grid[0], -1, -1)
    return torch.cat([of_column, of_row], -1).flatten(0, 1).float()


def resample(
    table: Float[Tensor, "*one p w"],
    *,
    old: tuple[int, int],
    new: tuple[int, int],
    kernel: Kernel,
) -> Float[Tensor, "*one q w"]:
    """`table` of a grid of `old` rows and columns, for `new` ones; what stands before the grid's
    positions (class tokens and registers) stays."""
    flat = table.reshape(-1, table.shape[-1])
    prefix = len(flat) - old[0] * old[1]
    first, places = flat[:prefix], flat[prefix:]
    grid = places.reshape(1, *old, -1).permute(0, 3, 1, 2).float()
    scaled = F.interpolate(
        grid, size=new, mode=kernel.interpolation, antialias=kernel.antialias, align_corners=False
    )
    places = scaled.permute(0, 2, 3, 1).flatten(0, 2).to(table.dtype)
    return torch.cat([first, places]).reshape(*table.shape[:-2], -1, table.shape[-1])


def fit_positions(
    state: MutableMapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    *,
    old_aspect: float,
    new_grid: tuple[int, int],
    kernel: Kernel,
) -> None:
    """Changes the tables of `state` to the shapes that the state dict `wanted` has, whose image
    positions are of `new_grid`; the old image was `old_aspect` times as high as wide.

    Image positions are resampled. Text positions are cut where the text is shorter, which leaves
    the embedding of a short causal text as it was, and stretched linearly where it is longer.
    """
    for name in IMAGE_TABLES:
        if name in state and name in wanted:
            prefix = wanted[name].shape[-2] - new_grid[0] * new_grid[1]
            places = state[name].shape[-2] - prefix
            rows = round(math.sqrt(places * old_aspect))
            old = (rows, places // max(rows, 1))
            if old != new_grid and old[0] * old[1] == places:
                state[name] = resample(state[name], old=old, new=new_grid, kernel=kernel)
    for name in TEXT_TABLES:
        if name in state and name in wanted and state[name].shape != wanted[name].shape:
            state[name] = _of_length(state[name], len(wanted[name]))


def _of_length(table: Float[Tensor, "t w"], length: int) -> Float[Tensor, "s w"]:
    if length <= len(table):
        return table[:length].clone()
    rows = table.T[None].float()
    return F.interpolate(rows, size=length, mode="linear")[0].T.to(table.dtype).contiguous()


def aspect_of(size: Any) -> float:
    """Height over width of an image size in a model configuration."""
    height, width = (size, size) if isinstance(size, int) else size
    return float(height / width)
