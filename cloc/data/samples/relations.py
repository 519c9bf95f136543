"""What one thing is to another: the rules of relations, their margins, and the words for them.

Scenes and the stage `relations` share them. A box is (x0, y0, x1, y1), x to the right and y down,
in one unit along both axes: pixels of the picture as it is shown, or fractions of a square one.
Margins are tenths, so that whole pixels are compared in whole numbers. Masks are bool [h, w] of one
picture. No torch here.
"""

from typing import NamedTuple

import cv2
import numpy as np

Box = tuple[float, float, float, float]

APART = 8  # tenths of the way between centres at which two boxes would just touch
ALONG = 12  # tenths of what the centres are apart along the other axis
DENIED = 4  # tenths of the way, on the other side: clear enough to say that it is not so
HIDDEN = 1  # tenths of the pixels of the smaller one that the other one hides
# Of photographs, where what is higher may be farther away, and what overlaps may lie upon it.
MEETS = 1  # tenths of the smaller box that both share: more is no relation of the plane alone
OVER = 5  # tenths of the narrower one's width that both share, for above, below and in front
NEARER = 2  # tenths of the range of depths in the picture, between the two
FOOT = 3  # tenths of its height: the part by which one thing stands on another
FLANKED = 7  # tenths of the rows of the foot with the other one on both sides
CLOSE = 2  # hundredths of the picture's shorter side: what is not farther away touches

# a RELATION b is true just where b FLIPPED[RELATION] a is.
FLIPPED = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "in front of": "behind",
    "behind": "in front of",
}
# What is wrong where the relation is true: of "inside" and "on" the converse is no such word.
OPPOSITE = {
    **FLIPPED,
    "inside": "outside",
    "outside": "inside",
    "on": "under",
    "under": "on",
}
# Words that are true where the relation is; the i-th ones of a relation and its opposite answer
# each other.
SYNONYMS = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above", "higher up than"),
    "below": ("below", "lower down than"),
    "in front of": ("in front of", "nearer than"),
    "behind": ("behind", "farther away than"),
    "inside": ("inside", "in"),
    "outside": ("outside", "out of"),
    "on": ("on", "on top of"),
    "under": ("under", "underneath"),
}
# Where nothing tells how far away the two are: what is higher up in a picture of a floor may be
# no higher, and the words say so.
IN_THE_PICTURE = {
    "above": "higher in the picture than",
    "below": "lower in the picture than",
}

# All words above are the viewer's: left is left in the picture, in front is nearer to the camera.
# A thing with a front of its own has these sides, in turn against the clock as seen from above.
OWN = ("front", "left", "back", "right")
AWAY, TO_THE_LEFT, TOWARDS, TO_THE_RIGHT = range(4)  # where its front points, as the viewer sees it
_VIEWED = ("behind", "left of", "in front of", "right of")  # in the same turn, from AWAY on


def from_here(own: str, facing: int) -> str:
    """The viewer's word for what is at the side `own` of a thing whose front points `facing`: at
    the left of one that looks at the viewer is right of it in the picture."""
    return _VIEWED[(OWN.index(own) + facing) % 4]


def own_side(relation: str, facing: int) -> str:
    """The inverse of `from_here`, for relations of the ground plane."""
    return OWN[(_VIEWED.index(relation) - facing) % 4]


def placement(a: Box, b: Box) -> str | None:
    """How `a` stands to `b` in the plane of the picture, None where it is not clear.

    Clear means: along the one axis the centres are at least `APART` of the way apart at which the
    boxes would just touch, and at least `ALONG` as far apart as along the other axis.
    """
    dx = b[0] + b[2] - a[0] - a[2]  # twice the distance: whole numbers
    dy = b[1] + b[3] - a[1] - a[3]
    across, down = 10 * abs(dx), 10 * abs(dy)
    if across >= APART * (a[2] - a[0] + b[2] - b[0]) and across >= ALONG * abs(dy):
        return "left of" if dx > 0 else "right of"
    if down >= APART * (a[3] - a[1] + b[3] - b[1]) and down >= ALONG * abs(dx):
        return "above" if dy > 0 else "below"
    return None


def clearly_not(a: Box, relation: str, b: Box) -> bool:
    """Whether `a` is on the other side of `b`, by at least `DENIED` of the way at which they touch.
    For the four relations of `placement`."""
    i = 0 if relation in ("left of", "right of") else 1
    lead = b[i] + b[i + 2] - a[i] - a[i + 2]
    if relation in ("right of", "below"):
        lead = -lead
    return -10 * lead >= DENIED * (a[i + 2] - a[i] + b[i + 2] - b[i])


def plane(a: Box, b: Box) -> str | None:
    """`placement` for photographs: None also where the boxes meet, and above and below only where
    one is over the other and they do not touch.

    What meets may be held, worn or hidden; what touches from above may stand on the other; and of
    what stands aside and higher up in the picture of a floor, people say that it is behind.
    """
    relation = placement(a, b)
    if meets(a, b):
        return None
    if relation in ("above", "below") and (touch(a, b) or not over(a, b)):
        return None
    return relation


def meets(a: Box, b: Box) -> bool:
    """Whether the boxes share more than `MEETS` of the smaller one."""
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return 10 * _shared(a, b, 0) * _shared(a, b, 1) > MEETS * smaller


def over(a: Box, b: Box) -> bool:
    """Whether they share at least `OVER` of the narrower one's columns."""
    return 10 * _shared(a, b, 0) >= OVER * min(box[2] - box[0] for box in (a, b))


def touch(a: Box, b: Box) -> bool:
    """Whether the boxes share an edge or more."""
    return all(a[i] <= b[i + 2] and b[i] <= a[i + 2] for i in (0, 1))


def _shared(a: Box, b: Box, i: int) -> float:
    return max(min(a[i + 2], b[i + 2]) - max(a[i], b[i]), 0)


def within(a: Box, b: Box) -> bool:
    """Whether the box `a` lies in the box `b` and touches none of its sides."""
    return a[0] > b[0] and a[1] > b[1] and a[2] < b[2] and a[3] < b[3]


def hides(hidden: int, smaller: int) -> bool:
    """Whether one that covers `hidden` pixels of the other is clearly in front of it; `smaller` is
    the number of pixels of the smaller of the two, covered ones counted."""
    return 10 * hidden >= HIDDEN * smaller


class Depths(NamedTuple):
    """How near the pixels of a thing are, any scale that grows towards the camera: quartiles."""

    far: float
    near: float


def depth_order(a: Depths, b: Depths, spread: float) -> str | None:
    """ "in front of" or "behind" where three quarters of the one are nearer than three quarters of
    the other by at least `NEARER` of `spread`, the range of the picture; else None."""
    margin = NEARER * spread
    if 10 * (a.far - b.near) >= margin > 0:
        return "in front of"
    return "behind" if 10 * (b.far - a.near) >= margin > 0 else None


def enclosed(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the mask `a` lies in a hole of the mask `b`, without touching its rim."""
    x0, y0, x1, y1 = (int(x) for x in _extent(b))
    if not a.any() or (a & b).any() or a.sum() != a[y0:y1, x0:x1].sum():
        return False
    inner, rim = (np.pad(m[y0:y1, x0:x1], 1).astype(np.uint8) for m in (a, b))
    _, parts = cv2.connectedComponents(1 - rim, connectivity=4)
    wider = cv2.dilate(inner, np.ones((3, 3), np.uint8))
    return bool(parts[0, 0] not in parts[inner > 0]) and not rim[wider > 0].any()


def held(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the thing `a` ends inside `b`: beside its `FOOT`, `b` is on both sides in at least
    `FLANKED` of the rows, and `b` goes on below it, by as much as is `CLOSE`.

    So a cup stands on a table. A person behind the table is not flanked, one before it ends lower.
    """
    rows = np.flatnonzero(a.any(1))
    if not len(rows) or not b.any():
        return False
    reach = max(round(CLOSE * min(a.shape) / 100), 1)
    if _extent(b)[3] < rows[-1] + 1 + reach:
        return False
    foot = rows[10 * (rows[-1] - rows) < FOOT * len(rows)]
    both = 0
    for row in foot:
        columns = np.flatnonzero(a[row])
        left = b[row, max(columns[0] - reach, 0) : columns[0]]
        right = b[row, columns[-1] + 1 : columns[-1] + 1 + reach]
        both += bool(left.any() and right.any())
    return 10 * both >= FLANKED * len(foot)


def _extent(mask: np.ndarray) -> Box:
    """Of its pixels; empty at 0 for none."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, 0, 0
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
