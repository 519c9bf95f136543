"""Masks of a record: COCO's run lengths in `meta["masks"]`, one or null for every region."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cloc.data.samples.orientation import turned
from cloc.data.samples.record import Record
from cloc.data.samples.validate import shown
from cloc.errors import UserError

MASKS = "masks"  # the key of `Record.meta`


def masks_of(record: Record) -> list[np.ndarray | None]:
    """bool [h, w] of the picture as it is shown, None for a region without; all None where
    `meta["masks"]` is missing. What is no mask of this record's regions and picture is a
    `UserError`."""
    given = record.meta.get(MASKS)
    if given is None:
        return [None] * len(record.regions)
    if not isinstance(given, list) or len(given) != len(record.regions):
        count = f"{len(given)} masks" if isinstance(given, list) else shown(given)
        raise UserError(
            f"record {record.key}: meta.masks has {count} for {len(record.regions)} regions; give "
            "one or null for each, and put relations before stages that add or leave out regions"
        )
    return [_mask(record, i, mask) for i, mask in enumerate(given)]


def _mask(record: Record, i: int, given: Any) -> np.ndarray | None:
    if given is None:
        return None
    where = f"record {record.key}: meta.masks[{i}]"
    size = given.get("size") if isinstance(given, Mapping) else None
    if not isinstance(size, list) or "counts" not in given:
        raise UserError(f'{where} is {shown(given)}; give {{"size": [h, w], "counts": ...}}')
    if size != [record.height, record.width]:
        raise UserError(
            f"{where} is of a picture with [h, w] {shown(size)}, this one has "
            f"{[record.height, record.width]}; give masks of the stored picture"
        )
    counts = given["counts"]
    runs = _runs(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(n) is int and n >= 0 for n in runs):
        runs = []
    if sum(runs) != record.height * record.width:
        raise UserError(
            f"{where} has counts {shown(counts)}, which are not the run lengths of "
            f"{record.height} x {record.width} pixels; give COCO's RLE"
        )
    values = np.arange(len(runs)) % 2 == 1
    pixels = np.repeat(values, runs).reshape(record.width, record.height).T  # column by column
    return turned(pixels, record.orientation)


def _runs(text: str) -> list[int] | None:
    """Of COCO's compressed form: five bits a character from 48 on, the sixth says that more follow;
    from the fourth on, a run is told by its difference to the one before the last."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
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
