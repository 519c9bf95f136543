"""What a COCO file says of one object: its box, and its mask as polygons or run lengths."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from cloc.data.samples.orientation import turned_back
from cloc.data.samples.validate import MAX_JSON_BYTES, MAX_SIDE_PX, is_finite, shown
from cloc.errors import UserError
from data_prep.importers.shared.frames import Frame
from data_prep.importers.shared.values import numbers_of
from data_prep.masks import compressed, pixels_of, run_lengths, runs_of

CORRECT = "correct or remove that annotation"
FINE = 9  # sub-pixels along an axis in which polygons are drawn; odd, so that one is the centre
BAND = 64  # rows of pixels that are drawn at once
SHIFT = 4  # binary digits of fractions of a sub-pixel
MAX_MASK_CHARS = MAX_JSON_BYTES // 2  # of one record; the rest is for what else it says

Polygon = np.ndarray  # [n, 2], x and y in pixels of the frame, n >= 3
Segmentation = list[Polygon] | dict[str, Any] | None


def corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Of [x, y, width, height]."""
    x, y, width, height = box
    return x, y, x + width, y + height


def read_shape(row: dict[str, Any], size: tuple[int, int], where: str) -> None:
    """`bbox` as numbers, in place, and `segmentation` where there is one; `size` is (width, height)
    of the picture."""
    row["bbox"] = read_box(row["bbox"], where)
    if "segmentation" in row:
        row["segmentation"] = read_segmentation(row["segmentation"], size, where)


def read_box(box: Any, where: str) -> list[float]:
    """Four finite numbers; what they mean is for `cloc.data.samples.validate` to say."""
    found = numbers_of(box, 4)
    if found is None:
        raise UserError(f"{where}: bbox {shown(box)} is not [x, y, width, height]; {CORRECT}")
    if not all(map(is_finite, found)):
        raise UserError(f"{where}: bbox {shown(box)} has a number that is not finite; {CORRECT}")
    return found


def compact(segmentation: Any) -> Any:
    """Polygons as arrays: as lists, those of a large file would take ten times the memory. What is
    no polygon stays, for `read_segmentation` to tell."""
    if not isinstance(segmentation, list):
        return segmentation
    points = [_points(polygon) for polygon in segmentation]
    return [p if p is not None else q for p, q in zip(points, segmentation, strict=True)]


def read_segmentation(given: Any, size: tuple[int, int], where: str) -> Segmentation:
    """Of a picture of `size` (width, height): polygons, without those of under three points, or run
    lengths, which are then compressed; None where nothing is said, `UserError` for what is neither.
    """
    if given is None or given == []:
        return None
    if isinstance(given, Mapping):
        width, height = size
        runs = runs_of(given, height, width, f"{where}: segmentation")
        return {"size": [height, width], "counts": compressed(runs)}
    if not isinstance(given, list):
        what = f"segmentation {shown(given)} is neither polygons nor run lengths"
        raise UserError(f"{where}: {what}; {CORRECT}")
    found = []
    for polygon in given:
        points = polygon if isinstance(polygon, np.ndarray) else _points(polygon)
        if points is None:
            what = f"segmentation has the polygon {shown(polygon)}, expected [x0, y0, x1, y1, ...]"
            raise UserError(f"{where}: {what} in pixels; {CORRECT}")
        found += [points] if len(points) > 2 else []
    return found


def stored_masks(
    segmentations: Iterable[Segmentation], frame: Frame, drops: Counter[str]
) -> list[dict[str, Any] | None]:
    """COCO's run lengths of the picture as stored, None where nothing is said. One without a pixel
    of the picture is counted as "mask"; more than a record has room for go together, and are
    counted as "mask_large"."""
    masks: list[dict[str, Any] | None] = []
    for given in segmentations:
        mask = None if given is None else drawn(given, frame.size)
        if mask is not None and not mask.any():
            drops["mask"] += 1
            mask = None
        masks.append(None if mask is None else run_lengths(turned_back(mask, frame.code)))
    if sum(len(mask["counts"]) for mask in masks if mask) > MAX_MASK_CHARS:
        drops["mask_large"] += sum(mask is not None for mask in masks)
        return [None] * len(masks)
    return masks


def drawn(given: list[Polygon] | dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """bool [h, w] of a picture of `size` (width, height). A pixel is of a polygon if its centre is,
    give or take a fifth of a pixel, and of the mask if it is of one of the polygons."""
    width, height = size
    if isinstance(given, dict):
        return pixels_of(runs_of(given, height, width, "segmentation"), height, width)
    mask = np.zeros((height, width), bool)
    if not given:
        return mask
    points = np.concatenate(given)
    x0, y0 = (int(x) for x in np.floor(points.min(0)).clip(0, size))
    x1, y1 = (int(x) for x in np.ceil(points.max(0)).clip(0, size))
    for top in range(y0, y1 if x0 < x1 else y0, BAND):
        rows = slice(top, min(top + BAND, y1))
        fine = np.zeros((FINE * (rows.stop - top), FINE * (x1 - x0)), np.uint8)
        for polygon in given:
            at = (polygon - [x0, top]) * FINE - 0.5  # of a sub-pixel's centre, as OpenCV counts
            cv2.fillPoly(fine, [np.rint(at * 2**SHIFT).astype(np.int32)], 1, shift=SHIFT)
        mask[rows, x0:x1] = fine[FINE // 2 :: FINE, FINE // 2 :: FINE] > 0
    return mask


def _points(polygon: Any) -> Polygon | None:
    """[n, 2] of 2 n finite numbers, none farther out than a picture is large."""
    numbers = numbers_of(polygon)
    if numbers is None or len(numbers) % 2:
        return None
    if not all(is_finite(x) and abs(x) <= MAX_SIDE_PX for x in numbers):
        return None
    return np.array(numbers, np.float32).reshape(-1, 2)
