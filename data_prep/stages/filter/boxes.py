"""Leaves out regions by score, size, shape and overlap, and caps how many an image may have."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from cloc import boxes
from cloc.data.samples.record import Record, Region
from cloc.errors import UserError
from data_prep.stage import Notes

ARTICLES = ("a ", "an ", "the ")


class BoxFilter:
    """Regions that pass every test, in their order; a record without any stays, as it has captions.

    The tests run in the order of the arguments, each over what the ones before have left. Overlap
    is IoU; of two regions that overlap too much the one with the higher score stays, of equal ones
    the first. `null` turns a test off.
    """

    name = "filter_boxes"

    def __init__(
        self,
        *,
        score_at_least: float = 0.1,
        side_px_at_least: float = 4.0,
        area_at_least: float = 0.0,
        area_at_most: float = 1.0,
        aspect_at_most: float | None = None,
        duplicate_iou: float | None = 0.9,
        nms_iou: float | None = 0.5,
        nms_iou_across: float | None = None,
        regions_at_most: int | None = 50,
    ) -> None:
        _check(duplicate_iou, nms_iou, nms_iou_across)
        _check_sizes(area_at_least, area_at_most, aspect_at_most, regions_at_most)
        self.settings: dict[str, Any] = {
            "score_at_least": score_at_least,
            "side_px_at_least": side_px_at_least,
            "area_at_least": area_at_least,
            "area_at_most": area_at_most,
            "aspect_at_most": aspect_at_most,
            "duplicate_iou": duplicate_iou,
            "nms_iou": nms_iou,
            "nms_iou_across": nms_iou_across,
            "regions_at_most": regions_at_most,
        }

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        return [record.with_regions(self._kept(record, notes)) for record in records]

    def describe(self) -> dict[str, Any]:
        return {"version": 1, **self.settings}

    def _kept(self, record: Record, notes: Notes) -> list[int]:
        """The places of the regions that stay."""
        left = list(range(len(record.regions)))
        for reason, passes in self._tests(record):
            if not left:
                break
            mask = passes([record.regions[i] for i in left])
            for i, good in zip(left, mask, strict=True):
                if not good:
                    notes.region(record, reason, record.regions[i])
            left = [i for i, good in zip(left, mask, strict=True) if good]
        return left

    def _tests(self, record: Record) -> Iterator[tuple[str, Callable[[list[Region]], np.ndarray]]]:
        """The name of a reason and what passes, a mask over the regions it is given."""
        wanted = self.settings
        image = float(record.width * record.height)
        yield "score", lambda regions: _scores(regions) >= wanted["score_at_least"]
        yield "side", lambda regions: _sides(regions).min(1) >= wanted["side_px_at_least"]
        yield "small", lambda regions: _sides(regions).prod(1) >= wanted["area_at_least"] * image
        yield "large", lambda regions: _sides(regions).prod(1) <= wanted["area_at_most"] * image
        if (aspect := wanted["aspect_at_most"]) is not None:
            yield "aspect", lambda regions: _aspects(regions) <= aspect
        if (duplicate := wanted["duplicate_iou"]) is not None:
            yield "duplicate", lambda regions: _nms(regions, list(map(_same, regions)), duplicate)
        if (per_text := wanted["nms_iou"]) is not None:
            yield "nms", lambda regions: _nms(regions, [r.text for r in regions], per_text)
        if (across := wanted["nms_iou_across"]) is not None:
            yield "nms_across", lambda regions: _nms(regions, [""] * len(regions), across)
        if (at_most := wanted["regions_at_most"]) is not None:
            yield "cap", lambda regions: _best(regions, at_most)


def keep_by_nms(
    corners: np.ndarray, scores: np.ndarray, groups: np.ndarray, iou_at_most: float
) -> np.ndarray:
    """A mask over n boxes [n 4]: greedy suppression of what overlaps more, inside equal `groups`.

    Highest score first, of equal scores the first; as `torchvision.ops.batched_nms` decides.
    """
    given = torch.from_numpy(np.ascontiguousarray(corners, dtype=np.float64))
    pairs = boxes.iou(
        given[:, None].expand(-1, len(given), -1), given[None].expand(len(given), -1, -1)
    )
    clash = (pairs.numpy() > iou_at_most) & (groups[:, None] == groups)
    keep = np.ones(len(corners), bool)
    order = np.argsort(-scores, kind="stable")
    for place, best in enumerate(order):
        if keep[best]:
            after = order[place + 1 :]
            keep[after[clash[best, after]]] = False
    return keep


def _nms(regions: list[Region], texts: list[str], iou_at_most: float) -> np.ndarray:
    _, groups = np.unique(texts, return_inverse=True)
    return keep_by_nms(_corners(regions), _scores(regions), groups, iou_at_most)


def _best(regions: list[Region], at_most: int) -> np.ndarray:
    keep = np.zeros(len(regions), bool)
    keep[np.argsort(-_scores(regions), kind="stable")[:at_most]] = True
    return keep


def _same(region: Region) -> str:
    """Texts that differ in case, spaces or a leading article are one phrase."""
    text = " ".join(region.text.lower().split())
    for article in ARTICLES:
        if text.startswith(article):
            return text.removeprefix(article)
    return text


def _corners(regions: list[Region]) -> np.ndarray:
    return np.array([region.box for region in regions], np.float64)


def _scores(regions: list[Region]) -> np.ndarray:
    return np.array([region.score for region in regions], np.float64)


def _sides(regions: list[Region]) -> np.ndarray:
    """[n 2]: width and height in pixels."""
    corners = _corners(regions)
    return corners[:, 2:] - corners[:, :2]


def _aspects(regions: list[Region]) -> np.ndarray:
    """The long side over the short one; infinite where there is no short one."""
    sides = _sides(regions)
    with np.errstate(divide="ignore", invalid="ignore"):
        return sides.max(1) / sides.min(1)


def _check(*overlaps: float | None) -> None:
    for name, value in zip(("duplicate_iou", "nms_iou", "nms_iou_across"), overlaps, strict=True):
        if value is not None and not 0 <= value < 1:
            raise UserError(f"{name}={value} suppresses nothing sensible; give 0 <= {name} < 1")


def _check_sizes(
    area_at_least: float, area_at_most: float, aspect: float | None, at_most: int | None
) -> None:
    if not 0 <= area_at_least < area_at_most <= 1:
        raise UserError(
            f"area_at_least={area_at_least} and area_at_most={area_at_most} leave nothing; they "
            "are shares of the image, 0 <= area_at_least < area_at_most <= 1"
        )
    if aspect is not None and aspect < 1:
        raise UserError(f"aspect_at_most={aspect}: long side over short side is 1 or more")
    if at_most is not None and at_most < 1:
        raise UserError(f"regions_at_most={at_most}; give 1 or more, or null for no cap")
