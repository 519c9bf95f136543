"""Why boxes are not where their markers are: the known faults, tried one after the other.

From what the pixels show of a sheet follows how its picture is mapped into the frame. Each fault
says where a box would then point; the one that tells the adapter's own boxes best is the cause.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cloc.eval.conformance_edges import Row

NEAR = 0.3  # pixels of the coarser of picture and frame, between a box and what a fault says of it
LOOSE = 0.02  # beside it, of what a box passes the frame by: mappings are measured, not known
UNKNOWN = "none of the faults known here tells these boxes"
EXIF = "EXIF's orientation is ignored; turn each picture upright first, PIL.ImageOps.exif_transpose"


class Case(NamedTuple):
    """What a fault may speak of; boxes in pixels, of the upright picture and of the frame."""

    box: Float[np.ndarray, "4"]
    size: Float[np.ndarray, "2"]  # of the picture, width and height
    frame: Float[np.ndarray, "2"]
    scale: Float[np.ndarray, "2"]  # the picture's x and y, times this, plus `shift`, is the frame's
    shift: Float[np.ndarray, "2"]

    def placed(self, box: np.ndarray, *, shifted: tuple[int, int] = (1, 1)) -> np.ndarray:
        """In pixels of the frame; the shift of the axes that are 0 left out."""
        return box * np.tile(self.scale, 2) + np.tile(self.shift * shifted, 2)

    def of_frame(self, fractions: np.ndarray) -> np.ndarray:
        return fractions * np.tile(self.frame, 2)

    def divided(self, x: float, y: float) -> np.ndarray:
        """The picture's pixels by these sides."""
        return self.of_frame(self.box / np.array([x, y, x, y], float))


def _swapped(case: Case) -> Iterable[np.ndarray]:
    turn = [1, 0, 3, 2]
    yield case.of_frame((case.placed(case.box) / np.tile(case.frame, 2))[turn])
    yield case.placed(case.box[turn])


def _whole_picture(case: Case) -> Iterable[np.ndarray]:
    yield case.divided(*case.size)


def _moved(case: Case, amount: float) -> Iterable[np.ndarray]:
    """By so many pixels, of the frame and of the picture; both axes, one, one corner."""
    right = case.placed(case.box)
    steps = [np.ones(2), case.scale]
    for step in steps:
        for axes in ((1, 1, 1, 1), (1, 0, 1, 0), (0, 1, 0, 1), (0, 0, 1, 1), (1, 1, 0, 0)):
            for sign in (-1, 1):
                yield right + sign * amount * np.tile(step, 2) * axes


def _half(case: Case) -> Iterable[np.ndarray]:
    return _moved(case, 0.5)


def _by_one(case: Case) -> Iterable[np.ndarray]:
    return _moved(case, 1.0)


def _without_x(case: Case) -> Iterable[np.ndarray]:
    yield case.placed(case.box, shifted=(0, 1))


def _without_y(case: Case) -> Iterable[np.ndarray]:
    yield case.placed(case.box, shifted=(1, 0))


def _without_both(case: Case) -> Iterable[np.ndarray]:
    yield case.placed(case.box, shifted=(0, 0))


def _another_size(case: Case) -> Iterable[np.ndarray]:
    width, height = case.size
    yield case.divided(height, width)
    yield case.divided(max(case.size), max(case.size))
    yield case.divided(min(case.size), min(case.size))
    yield case.divided(*case.frame)


def _not_fractions(case: Case) -> Iterable[np.ndarray]:
    right = case.placed(case.box)
    yield case.of_frame(right)
    yield case.of_frame(case.box)
    yield right * 1000
    yield right * 100


Fault = Callable[[Case], Iterable[np.ndarray]]  # where a box would be, in several ways of it
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

    `UNKNOWN` and none where no fault tells half of those of which a mapping can be measured.
    """
    if all(row.sheet.orientation != 1 for row in failing):
        return EXIF, list(failing)
    cases = list(_cases(rows, failing))
    best, told = UNKNOWN, list[Row]()
    for words, fault in FAULTS.items():
        ways = zip(*([_tells(row, box, c) for box in fault(c)] for row, c in cases), strict=True)
        for way in ways:
            found = [row for (row, _), right in zip(cases, way, strict=True) if right]
            if len(found) > len(told):
                best, told = words, found
    return (best, told) if 2 * len(told) >= max(len(cases), 1) else (UNKNOWN, [])


def _cases(rows: Sequence[Row], failing: Sequence[Row]) -> Iterator[tuple[Row, Case]]:
    for row in failing:
        place = _mapping([other for other in rows if other.sheet == row.sheet])
        if place is None or not np.isfinite(row.given).all():
            continue
        box = np.array(row.sheet.boxes[row.shown], float)
        size = np.array([row.sheet.width, row.sheet.height], float)
        yield row, Case(box, size, np.array(row.frame, float), *place)


def _tells(row: Row, box: np.ndarray, case: Case) -> bool:
    """Whether the adapter's box is this one, clipped to the frame as it may be or not."""
    frame = np.tile(case.frame, 2)
    near = NEAR * np.tile(np.maximum(case.scale, 1), 2)
    passes = np.maximum(np.abs(box - frame / 2) - frame / 2, 0)
    whole = np.abs(row.given - box) <= near + LOOSE * passes
    clipped = np.abs(row.inside - np.clip(box, 0, frame)) <= near
    return bool(whole.all() or clipped.all())


def _mapping(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray] | None:
    """Scale and shift of both axes of a sheet, of the edges that are seen whole; None where too few
    are, or where they lie on no straight line."""
    found = [_line(*_points(rows, axis)) for axis in (0, 1)]
    if found[0] is None or found[1] is None:
        return None
    (scale_x, shift_x), (scale_y, shift_y) = found
    return np.array([scale_x, scale_y]), np.array([shift_x, shift_y])


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


def _line(x: list[float], y: list[float]) -> tuple[float, float] | None:
    if len({*x}) < 2:
        return None
    scale, shift = np.polyfit(x, y, 1)
    off = np.abs(np.array(x) * scale + shift - y).max()
    return (float(scale), float(shift)) if scale > 0 and off <= max(scale, 1) / 2 else None
