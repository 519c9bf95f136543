"""Masks of a record: COCO's run lengths in `meta["masks"]`, one or null for every region."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cloc.data.samples.aligned import MASKS, check_masks
from cloc.data.samples.orientation import turned
from cloc.data.samples.record import Record
from cloc.data.samples.validate import MAX_SIDE_PX, shown
from cloc.errors import UserError

LONGEST = MAX_SIDE_PX**2  # a run of all pixels
DIGITS = 7  # of five bits, that a longest run and its sign take


def masks_of(record: Record) -> list[np.ndarray | None]:
    """bool [h, w] of the picture as it is shown, None for a region without; all None where
    `meta["masks"]` is missing. What is no mask of this record's regions and picture is a
    `UserError`."""
    given, count = record.meta.get(MASKS), len(record.regions)
    if given is None:
        return [None] * count
    masks = []
    for i, mask in enumerate(check_masks(given, f"record {record.key}", count=count)):
        where, size = f"record {record.key}: meta.{MASKS}[{i}]", (record.height, record.width)
        runs = None if mask is None else runs_of(mask, *size, where)
        masks.append(None if runs is None else turned(pixels_of(runs, *size), record.orientation))
    return masks


def runs_of(given: Any, height: int, width: int, where: str) -> list[int]:
    """Of `{"size": [h, w], "counts": ...}`, compressed or not; `UserError` for what is no mask of
    so many pixels."""
    size = given.get("size") if isinstance(given, Mapping) else None
    if not isinstance(size, list) or "counts" not in given:
        raise UserError(f'{where} is {shown(given)}; give {{"size": [h, w], "counts": ...}}')
    if size != [height, width]:
        raise UserError(
            f"{where} is of a picture with [h, w] {shown(size)}, this one has "
            f"{[height, width]}; give masks of this picture"
        )
    counts = given["counts"]
    runs = _read(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(n) is int and 0 <= n <= LONGEST for n in runs):
        runs = []
    if sum(runs) != height * width:
        raise UserError(
            f"{where} has counts {shown(counts)}, which are not the run lengths of "
            f"{height} x {width} pixels; give COCO's RLE"
        )
    return runs


def pixels_of(runs: Sequence[int], height: int, width: int) -> np.ndarray:
    """bool [h, w] of runs column by column, the first one of False."""
    values = np.arange(len(runs)) % 2 == 1
    pixels: np.ndarray = np.repeat(values, runs).reshape(width, height).T
    return pixels


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """The compressed form of a bool [h, w], which `runs_of` reads."""
    pixels = mask.T.ravel()
    turns = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs = np.diff(turns, prepend=0, append=len(pixels))
    return {"size": list(mask.shape), "counts": compressed([0, *runs] if pixels[0] else runs)}


def compressed(runs: Sequence[int] | np.ndarray) -> str:
    """COCO's text of run lengths: five bits a character from 48 on, the lowest first, the sixth
    says that more follow; from the fourth on, a run is told by its difference to the one before the
    last."""
    given = np.asarray(runs, np.int64)
    left = given.copy()
    left[3:] -= given[1:-2]
    is_open = np.ones(len(left), bool)
    columns = []
    while is_open.any():
        bits = left & 31
        left >>= 5
        more = np.where(bits & 16, left != -1, left != 0)
        columns.append(np.where(is_open, 48 + bits + 32 * more, 0))
        is_open &= more
    codes = np.stack(columns, 1)
    return codes[codes > 0].astype(np.uint8).tobytes().decode("ascii")


def _read(text: str) -> list[int] | None:
    """The inverse of `compressed`."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift == 5 * DIGITS:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return None if shift else runs
