"""Where a marker lies in a tensor of pixels, to a fraction of a pixel, whatever blurred it there.

`cover` is the share of each pixel that the marker takes. A resampling filter blurs it and moves
nothing: the sum along an axis stays the marker's length there, and the centre of mass its middle.
So an edge is half that length from the middle, and no filter needs to be known.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cloc.eval.conformance_corpus import Sheet

HALF = 0.5  # frame pixels that an edge may be off
RIPPLE = 0.05  # pixels of the picture, or of a coarser frame, that an edge may be measured off
BLUR = 0.125  # the same beside the frame's edge, where half the blur may be missing
EDGES = ("left", "top", "right", "bottom")
SLACK = 1.1  # of an area
LEAST = 0.01  # square pixels: less is nothing
NOISE = 0.012  # of the largest cover: less is what JPEG leaves on the ground
REACH = 3  # of a filter (Lanczos), in pixels of the coarser of picture and frame
BORDER = 0.75  # frame pixels: an edge this near to the frame's may have been cut there


class Seen(NamedTuple):
    """A marker in a frame, in frame pixels; parts that the frame cuts off are not in it."""

    box: Float[np.ndarray, "4"]  # x0, y0, x1, y1; without meaning where not `sharp`
    centre: Float[np.ndarray, "2"]  # x, y of its mass; NaN where nothing is seen
    area: float  # square pixels
    sharp: bool  # the edges are known: one side at least is long enough to reach full cover
    cut: tuple[bool, bool, bool, bool]  # whether each edge is at the frame's, where it may be cut


def cover_of(
    pixels: Float[np.ndarray, "c h w"],
    ground: Float[np.ndarray, "c h w"],
    contrast: Float[np.ndarray, " c"],
) -> Float[np.ndarray, "h w"]:
    """Share of each pixel that is marker: `contrast` is the marker's colour less the ground's, as
    the tensor has them, `ground` the same picture without it. Below 0 beside a sharpened edge."""
    share = np.tensordot(contrast, pixels - ground, 1) / (contrast @ contrast)
    share[np.abs(share) < NOISE * share.max()] = 0
    return share


def seen(cover: Float[np.ndarray, "h w"], sides: tuple[int, int]) -> Seen:
    """`sides` are the marker's width and height in pixels of its picture."""
    area = float(cover.sum())
    height, width = cover.shape
    profiles = cover.sum(0), cover.sum(1)
    if area < LEAST:
        return Seen(np.full(4, np.nan), np.full(2, np.nan), 0.0, False, (False,) * 4)
    centre = np.array([(p * (np.arange(len(p)) + 0.5)).sum() / area for p in profiles])
    centre = np.clip(centre, 0, [width, height])  # where what is seen is no marker, it may be far
    lengths = [_length(p, side) for p, side in zip(profiles, sides, strict=True)]
    if lengths[0] is None and lengths[1] is not None:
        lengths[0] = area / lengths[1]
    if lengths[1] is None and lengths[0] is not None:
        lengths[1] = area / lengths[0]
    sharp = lengths[0] is not None
    half = np.array(lengths if sharp else _extents(profiles), float) / 2
    box = np.concatenate([centre - half, centre + half])
    room = np.array([width, height])
    cut = (*(box[:2] < BORDER), *(box[2:] > room - BORDER))
    return Seen(box, centre, area, sharp, tuple(map(bool, cut)))  # type: ignore[arg-type]


def _extents(profiles: tuple[np.ndarray, np.ndarray]) -> list[float]:
    """Of a marker too small for more: how many pixels it is seen in."""
    return [float((p > NOISE * p.max()).sum()) for p in profiles]


def _length(profile: Float[np.ndarray, " n"], side: int) -> float | None:
    """Along one axis; None where nowhere is far enough from both edges to be fully covered."""
    inside = np.flatnonzero(profile > profile.max() / 2)
    first, last = int(inside[0]), int(inside[-1])
    reach = REACH * max(1.0, (last + 1 - first) / side)
    start = 0 if first == 0 else int(np.ceil(first + reach))
    stop = len(profile) if last == len(profile) - 1 else int(np.floor(last + 1 - reach))
    if stop <= start:
        return None
    return float(profile.sum() / np.median(profile[start:stop]))


class Row(NamedTuple):
    """A picture of the corpus through an adapter: what its tensor shows, where its box points."""

    sheet: Sheet
    shown: int  # of the sheet's boxes
    frame: tuple[int, int]  # width and height
    given: Float[np.ndarray, "4"]  # the adapter's box, times the frame; may pass its edges
    valid: bool
    seen: Seen

    @property
    def sides(self) -> tuple[int, int]:
        """Of the marker, in pixels of the picture."""
        x0, y0, x1, y1 = self.sheet.boxes[self.shown]
        return x1 - x0, y1 - y0

    @property
    def inside(self) -> Float[np.ndarray, "4"]:
        """The part of the given box that is in the frame."""
        return np.clip(self.given, 0, [*self.frame, *self.frame])

    def errors(self) -> dict[str, float]:
        """Frame pixels by which the given box passes what is seen, right and down positive: of each
        edge, or of the middle where the marker is too small to have edges."""
        if not self.valid or not self.seen.area or not np.isfinite(self.given).all():
            return {}
        if self.seen.sharp:
            off = self.inside - self.seen.box
            return dict(zip(EDGES, map(float, off), strict=True))
        off = (self.inside[:2] + self.inside[2:]) / 2 - self.seen.centre
        return {"middle x": float(off[0]), "middle y": float(off[1])}

    def limits(self) -> dict[str, float]:
        """Frame pixels that each of `errors` may be: half a pixel, and what the measurement may be
        off where the frame is finer than the picture, whose pixels are what filters blur."""
        if not self.seen.sharp:
            return dict.fromkeys(("middle x", "middle y"), HALF + RIPPLE)
        scale = max(1.0, *((self.seen.box[2:] - self.seen.box[:2]) / self.sides))
        room = np.minimum(self.seen.box, np.tile(self.frame, 2) - self.seen.box)
        blur = np.where(room < scale, BLUR, 0.0)  # there the frame may cut the blur, not the marker
        return dict(zip(EDGES, map(float, HALF + scale * (RIPPLE + blur)), strict=True))

    def problem(self) -> str:
        """In words; empty where the box is right."""
        if not np.isfinite(self.given).all():
            return "is not finite"
        width, height = self.inside[2:] - self.inside[:2]
        if not self.valid:
            gone = any(self.seen.cut) or not self.seen.area
            return "" if gone else "is called invalid, though the frame shows all of it"
        if not self.seen.area:
            lost = min(width, height) > 1 + RIPPLE  # one pixel, in float32: what is left of a box
            return f"is {width:.1f} x {height:.1f} px where nothing is painted" if lost else ""
        errors, limits = self.errors(), self.limits()
        over = {edge: abs(off) - limits[edge] for edge, off in errors.items()}
        edge = max(over, key=over.__getitem__)
        if over[edge] > 0:
            off = errors[edge]
            way = ("left", "right") if edge in ("left", "right", "middle x") else ("up", "down")
            of = "middle" if edge.startswith("middle") else f"{edge} edge"
            return f"has its {of} {abs(off):.1f} px too far {way[off > 0]}"
        least, most = (max(width - 1, 0) * max(height - 1, 0), (width + 1) * (height + 1))
        if not self.seen.sharp and not least <= self.seen.area * SLACK <= most * SLACK**2:
            return f"covers {width * height:.1f} px², the marker {self.seen.area:.1f}"
        return ""
