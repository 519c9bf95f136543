"""Where the tokens of a picture lie: rows and columns, from what a processor made of it."""

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any

from torch import Tensor, nn

from cloc.errors import UserError

Grid = tuple[int, int]
QUERIES = ("QFormer", "Perceiver", "Resampler")  # in names of classes: tokens that are asked for


def queries_of(model: nn.Module) -> str:
    """The class that makes a model's picture tokens by queries, which lie nowhere; "" if none."""
    kinds = (type(part).__name__ for part in model.modules())
    return next((kind for kind in kinds if any(word in kind for word in QUERIES)), "")


def grids_of(
    config: Any, inputs: Mapping[str, Tensor], counts: Sequence[int], *, name: str
) -> list[Grid]:
    """Of each picture of a batch, whose tokens in the prompt are `counts`. Patches that a model
    merges are one token. `UserError` where tokens do not fit the patches."""
    if "image_grid_thw" in inputs:
        found = _of_own_sizes(config, inputs["image_grid_thw"], name)
    else:
        found = _of_one_size(config, inputs.get("pixel_values"), counts, name)
    for (rows, columns), count in zip(found, counts, strict=True):
        if rows * columns != count:
            raise UserError(
                f"vlm={name}: a picture has {count} tokens in the prompt and {rows} x {columns} "
                "patches; correct the patch size of its config.json or of its processor"
            )
    return found


def _of_own_sizes(config: Any, sizes: Tensor, name: str) -> list[Grid]:
    """Time, rows and columns of each before merging (Qwen)."""
    side = int(getattr(config.vision_config, "spatial_merge_size", 1))
    if (sizes[:, 0] != 1).any():
        raise UserError(f"vlm={name}: it sees a picture as several; give a model that sees one")
    return [(rows // side, columns // side) for _, rows, columns in sizes.tolist()]


def _of_one_size(
    config: Any, pixels: Tensor | None, counts: Sequence[int], name: str
) -> list[Grid]:
    side = getattr(getattr(config, "vision_config", None), "patch_size", None)
    sides = (side, side) if isinstance(side, int) else side  # a pair of InternVL's
    if pixels is None or not isinstance(sides, tuple | list) or len(sides) != 2:
        raise UserError(
            f"vlm={name}: it is not known how it divides a picture (pixel_values and "
            "vision_config.patch_size); give a model of LLaVA's or Qwen-VL's layout"
        )
    if pixels.ndim == 5 and pixels.shape[1] == 1:  # pictures of each row: one
        pixels = pixels[:, 0]
    if pixels.ndim != 4 or len(pixels) != len(counts):
        raise UserError(
            f"vlm={name}: it sees a picture in crops {list(pixels.shape)}, which lie on no single "
            "grid; give a model that sees it whole"
        )
    rows, columns = pixels.shape[2] // sides[0], pixels.shape[3] // sides[1]
    return [_merged(rows, columns, count) for count in counts]


def _merged(rows: int, columns: int, count: int) -> Grid:
    """By how much sides must be divided to give `count` tokens; as they are where by nothing."""
    by = isqrt(rows * columns // count) if count else 1
    fits = by > 1 and rows % by == 0 == columns % by and rows * columns == count * by * by
    return (rows // by, columns // by) if fits else (rows, columns)
