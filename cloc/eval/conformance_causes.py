"""Why boxes are not where their markers are: the known faults, tried one after the other.

From what the pixels show of a sheet follows how its picture is mapped into the frame. Each fault
says where a box would then point; the one that tells the adapter's own boxes best is the cause.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cloc.eval.conformance_edges import Row

NEAR = 0.3  # pixels of the coarser of picture and frame, between a box and what a fault says of it
LOOSE = 0.02  # beside it, of what a box passes the frame by: mappings are measured, not known
UNKNOWN = "none of the faults known here tells these boxes"
EXIF = "EXIF's orientation is ignored; turn each picture upright first, PIL.ImageOps.exif_transpose"


class Cases(NamedTuple):
    """What a fault may speak of, of n boxes; in pixels of the upright picture and of the frame."""

    boxes: Float[np.ndarray, "n 4"]
    sizes: Float[np.ndarray, "n 4"]  # width and height of the picture, twice; so do all of these
    frames: Float[np.ndarray, "n 4"]
    scales: Float[np.ndarray, "n 4"]  # a place in the picture times this, plus the shift,
    shifts: Float[np.ndarray, "n 4"]  # is one in the frame

    def placed(self, boxes: np.ndarray, *, shifted: tuple[int, int] = (1, 1)) -> np.ndarray:
        """In pixels of the frame; the shift of the axes that are 0 left out."""
        return boxes * self.scales + self.shifts * (shifted * 2)

    def divided(self, by: np.ndarray) -> np.ndarray:
        """The picture's pixels by these sides, taken for fractions of the frame."""
        return self.boxes / by * self.frames


TURN = [1, 0, 3, 2]  # x and y, swapped


def _swapped(cases: Cases) -> Iterable[np.ndarray]:
    yield (cases.placed(cases.boxes) / cases.frames)[:, TURN] * cases.frames
    yield cases.placed(cases.boxes[:, TURN])


def _whole_picture(cases: Cases) -> Iterable[np.ndarray]:
    yield cases.divided(cases.sizes)


def _moved(cases: Cases, amount: float) -> Iterable[np.ndarray]:
    """By so many pixels, of the frame and of the picture; both axes, one, one corner."""
    right = cases.placed(cases.boxes)
    for step in (np.ones(4), cases.scales):
        for edges in ((1, 1, 1, 1), (1, 0, 1, 0), (0, 1, 0, 1), (0, 0, 1, 1), (1, 1, 0, 0)):
            for sign in (-1, 1):
                yield right + sign * amount * step * edges


def _half(cases: Cases) -> Iterable[np.ndarray]:
    return _moved(cases, 0.5)


def _by_one(cases: Cases) -> Iterable[np.ndarray]:
    return _moved(cases, 1.0)


def _without_x(cases: Cases) -> Iterable[np.ndarray]:
    yield cases.placed(cases.boxes, shifted=(0, 1))


def _without_y(cases: Cases) -> Iterable[np.ndarray]:
    yield cases.placed(cases.boxes, shifted=(1, 0))


def _without_both(cases: Cases) -> Iterable[np.ndarray]:
    yield cases.placed(cases.boxes, shifted=(0, 0))


def _another_size(cases: Cases) -> Iterable[np.ndarray]:
    yield cases.divided(cases.sizes[:, TURN])
    yield cases.divided(cases.sizes.max(1, keepdims=True))
    yield cases.divided(cases.sizes.min(1, keepdims=True))
    yield cases.divided(cases.frames)


def _not_fractions(cases: Cases) -> Iterable[np.ndarray]:
    right = cases.placed(cases.boxes)
    yield right * cases.frames
    yield cases.boxes * cases.frames
    yield right * 1000
    yield right * 100


Fault = Callable[[Cases], Iterable[np.ndarray]]  # where boxes would be, in ways of it
LEFT_OUT = "the offset of the bars or of the crop is left out"
FAULTS: dict[str, Fault] = {
    "x and y are swapped; a box is (x0, y0, x1, y1)": _swapped,
    "boxes are fractions of the whole picture, but the frame pads or crops it; carry them through "
    "the same resize, bars and crop": _whole_picture,
    f"{LEFT_OUT} along x": _without_x,
    f"{LEFT_OUT} along y": _without_y,
    f"{LEFT_OUT}": _without_both,
    "boxes are shifted by half a pixel; x0 = 0 is the left edge of the first pixel, not its "
    "middle": _half,
    "boxes are off by one pixel; x1 is the right edge of the last pixel, not its index": _by_one,
    "boxes are divided by another size than that of the picture they are of": _another_size,
    "boxes are not in [0, 1]; divide them by the frame's width and height": _not_fractions,
}


def likely_cause(rows: Sequence[Row], failing: Sequence[Row]) -> tuple[str, list[Row]]:
    """The fault that tells the most of the `failing` boxes, and these rows of them; `rows` are all.

    `UNKNOWN` and none where no fault tells half of them.
    """
    if all(row.sheet.orientation != 1 for row in failing):
        return EXIF, list(failing)
    mapped, cases = _cases(rows, failing)
    best, told = UNKNOWN, list[Row]()
    for words, fault in FAULTS.items():
        for boxes in fault(cases):
            found = [mapped[i] for i in np.flatnonzero(_tells(mapped, boxes, cases))]
            if len(found) > len(told):
                best, told = words, found
    return (best, told) if 2 * len(told) >= len(failing) else (UNKNOWN, [])


def _cases(rows: Sequence[Row], failing: Sequence[Row]) -> tuple[list[Row], Cases]:
    """Those of `failing` whose sheet shows how it is mapped."""
    places = {row.sheet: _mapping([r for r in rows if r.sheet == row.sheet]) for row in failing}
    mapped, found = list[Row](), list[tuple]()
    for row in failing:
        place = places[row.sheet]
        if place is not None and np.isfinite(row.given).all():
            size = row.sheet.width, row.sheet.height
            sides = size * 2, row.frame * 2, np.tile(place[0], 2), np.tile(place[1], 2)
            mapped.append(row)
            found.append((row.sheet.boxes[row.shown], *sides))
    columns = np.array(found, float).reshape(-1, 5, 4)
    return mapped, Cases(*columns.transpose(1, 0, 2))


def _tells(rows: Sequence[Row], boxes: np.ndarray, cases: Cases) -> np.ndarray:
    """Bool [n]: whether the adapter's box is this one, clipped to the frame as it may be or not."""
    given = np.array([row.given for row in rows]).reshape(-1, 4)
    near = NEAR * np.maximum(cases.scales, 1)
    passes = np.maximum(np.abs(boxes - cases.frames / 2) - cases.frames / 2, 0)
    whole = np.abs(given - boxes) <= near + LOOSE * passes
    inside = [np.clip(places, 0, cases.frames) for places in (given, boxes)]
    clipped = np.abs(inside[0] - inside[1]) <= near
    return np.asarray(whole.all(1) | clipped.all(1))


def _mapping(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray] | None:
    """Scale and shift of both axes of a sheet, of the edges that are seen whole; None where too few
    are, or where they lie on no straight line."""
    across, down = (_line(*_points(rows, axis)) for axis in (0, 1))
    if across is None or down is None:
        return None
    return np.array([across[0], down[0]]), np.array([across[1], down[1]])


def _points(rows: Sequence[Row], axis: int) -> tuple[list[float], list[float]]:
    """Places in the picture, and where they are seen in the frame."""
    pairs = []
    for row in rows:
        box, seen = row.sheet.boxes[row.shown], row.seen
        ends = [end for end in (axis, axis + 2) if not seen.cut[end]]
        if seen.sharp:
            pairs += [(float(box[end]), float(seen.box[end])) for end in ends]
        elif seen.area and len(ends) == 2:
            pairs.append(((box[axis] + box[axis + 2]) / 2, float(seen.centre[axis])))
    return [x for x, _ in pairs], [y for _, y in pairs]


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float] | None:
    if len({*x}) < 2:
        return None
    scale, shift = np.polyfit(x, y, 1)
    off = np.abs(np.array(x) * scale + shift - y).max()
    return (float(scale), float(shift)) if scale > 0 and off <= max(scale, 1) / 2 else None
