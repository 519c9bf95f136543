"""When a relation of solids on the ground holds, and when it is clear enough to say that it does
not. What holds of boxes alone, and all of frames of reference, is in `cloc.data.samples.relations`.
"""

from collections.abc import Sequence

from cloc.data.samples.relations import own_side, placement
from cloc.scenes.depth.place import Placed

CLEARLY = 11  # tenths: one that is nearer is farther away than this much less
LEVEL = 3  # tenths of the lower one's height: what stands beside another stands as far away
CLOSE = 16  # tenths of the longest side of both, that lie between two side by side at most
ALIGNED = 4  # tenths of the wider one that the middles of two behind each other are apart
SEEN = 2  # tenths of the nearer one's height that hide the other's foot, or of ground between them
DENIED = 30  # tenths of a margin, beyond which a relation surely does not hold

ENDS = ("nearest", "farthest"), ("leftmost", "rightmost")
OF_TWO = {"nearest": "nearer", "farthest": "farther"}


def nearer_than(a: Placed, b: Placed) -> bool:
    """Whether `a` is clearly nearer to the viewer."""
    return 10 * b.distance >= CLEARLY * a.distance


def directly(a: Placed, b: Placed, *, loose: bool = False) -> set[str]:
    """The viewer's words for where `a` stands right at `b`, both on the ground: at most one, or
    with `loose` margins all that somebody might say."""
    found = set[str]()
    if a.holder or b.holder:
        return found
    if _side_by_side(a, b, loose):
        found.add("left of" if 2 * a.x + a.width < 2 * b.x + b.width else "right of")
    nearer, farther = (a, b) if a.distance < b.distance else (b, a)
    if _in_line(nearer, farther, loose):
        found.add("in front of" if a is nearer else "behind")
    return found


def _side_by_side(a: Placed, b: Placed, loose: bool) -> bool:
    longest = max(a.width, b.width, a.height, b.height)
    many, lower = (DENIED, longest) if loose else (10, min(a.height, b.height))
    apart = abs(a.y + a.height - b.y - b.height)
    gap = abs(2 * (a.x - b.x) + a.width - b.width) - a.width - b.width  # twice what lies between
    least = -2 * longest if loose else -max(a.width, b.width) // 5
    return (
        100 * apart <= LEVEL * many * lower and least <= gap and 50 * gap <= CLOSE * many * longest
    )


def _in_line(nearer: Placed, farther: Placed, loose: bool) -> bool:
    higher, wider = max(nearer.height, farther.height), max(nearer.width, farther.width)
    across = abs(2 * (nearer.x - farther.x) + nearer.width - farther.width)  # twice
    foot = farther.y + farther.height
    apart = nearer.y + nearer.height - foot
    if loose:
        aligned = 50 * across <= ALIGNED * DENIED * max(higher, wider)
        return nearer.distance < farther.distance and aligned and 10 * apart <= DENIED * higher
    return (
        nearer_than(nearer, farther)
        and 10 * abs(foot - nearer.y) >= SEEN * nearer.height
        and 5 * across <= ALIGNED * wider
        and apart <= higher
    )


def aside(a: Placed, b: Placed) -> str | None:
    """The viewer's "left of" or "right of", None where neither is clear."""
    word = placement(a.box, b.box)
    return word if word in ("left of", "right of") else None


def holds(kind: str, a: Placed, word: str, b: Placed, *, loose: bool = False) -> bool:
    """Whether `a` is `word` of `b` by the rule of its kind ("view", "own", "hold"); with `loose`,
    whether somebody might say so."""
    if kind == "hold":
        if word != "beside":
            return a.holder is b and a.held == word
        return bool(directly(a, b, loose=loose) & {"left of", "right of"})
    here = directly(a, b, loose=loose)
    if kind == "own":
        return word in {own_side(relation, b.facing) for relation in here}
    return word in here


def ends(things: Sequence[Placed], words: tuple[str, str]) -> tuple[Placed, Placed] | None:
    """Of equal things those at the two ends that one of `ENDS` names, by a clear margin from every
    other one; None where one of them is not clear. For a name to be given as often as its flipped
    form, both are asked for."""
    one, other = (_first(things, word) for word in words)
    return (one, other) if one and other else None


def _first(things: Sequence[Placed], word: str) -> Placed | None:
    for one in things:
        if all(_leads(one, other, word) for other in things if other is not one):
            return one
    return None


def _leads(one: Placed, other: Placed, word: str) -> bool:
    if word == "nearest":
        return nearer_than(one, other)
    if word == "farthest":
        return nearer_than(other, one)
    lead = other.x - one.x if word == "leftmost" else one.x - other.x
    return 2 * lead >= one.width
