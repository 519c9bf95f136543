"""What one thing is to another: the rules of relations, their margins, and the words for them.

Scenes and the stage `relations` share them. A box is (x0, y0, x1, y1), x to the right and y down,
in one unit along both axes: pixels of the picture as it is shown, or fractions of a square one.
Margins are tenths, so that whole pixels are compared in whole numbers. No torch here.
"""

Box = tuple[float, float, float, float]

APART = 8  # tenths of the way between centres at which two boxes would just touch
ALONG = 12  # tenths of what the centres are apart along the other axis
DENIED = 4  # tenths of the way, on the other side: clear enough to say that it is not so
HIDDEN = 1  # tenths of the pixels of the smaller one that the other one hides

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


def within(a: Box, b: Box) -> bool:
    """Whether the box `a` lies in the box `b` and touches none of its sides."""
    return a[0] > b[0] and a[1] > b[1] and a[2] < b[2] and a[3] < b[3]


def hides(hidden: int, smaller: int) -> bool:
    """Whether one that covers `hidden` pixels of the other is clearly in front of it; `smaller` is
    the number of pixels of the smaller of the two, covered ones counted."""
    return 10 * hidden >= HIDDEN * smaller
