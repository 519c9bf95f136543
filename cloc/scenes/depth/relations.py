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

NEARER = {"nearer than": "farther away than", "farther away than": "nearer than"}
AMONG = {"nearest": "farthest", "leftmost": "rightmost"}
AMONG |= {other: word for word, other in AMONG.items()}
OF_TWO = {"nearest": "nearer", "farthest": "farther"}


def compared(a: Placed, b: Placed) -> str | None:
    """Which of the two is clearly nearer to the viewer, as what `a` is."""
    if 10 * b.distance >= CLEARLY * a.distance:
        return "nearer than"
    return "farther away than" if 10 * a.distance >= CLEARLY * b.distance else None


def directly(a: Placed, b: Placed, *, loose: bool = False) -> set[str]:
    """The viewer's words for where `a` stands right at `b`, both on the ground: at most one, or
    with `loose` margins all that somebody might say."""
    if a.holder or b.holder:
        return set()
    found = set()
    wider, lower, higher = max(a.width, b.width), min(a.height, b.height), max(a.height, b.height)
    longest = max(wider, higher)
    many = DENIED if loose else 10
    apart = 10 * abs(a.y + a.height - b.y - b.height)
    across = 2 * (a.x - b.x) + a.width - b.width  # twice what the middles are apart
    gap = abs(across) - a.width - b.width  # twice what lies between
    least = -2 * wider if loose else -wider // 5
    if (
        10 * apart <= LEVEL * many * (higher if loose else lower)
        and least <= gap
        and 50 * gap <= CLOSE * many * longest
    ):
        found.add("left of" if across < 0 else "right of")
    word = compared(a, b)
    if loose and a.distance != b.distance:
        word = "nearer than" if a.distance < b.distance else "farther away than"
    nearer, farther = (a, b) if a.distance < b.distance else (b, a)
    meet = farther.y + farther.height - nearer.y
    if not loose and 10 * abs(meet) < SEEN * nearer.height:
        word = None
    if word and 50 * abs(across) <= ALIGNED * many * wider and apart <= many * higher:
        found.add("in front of" if word == "nearer than" else "behind")
    return found


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


def extreme(things: Sequence[Placed], word: str) -> Placed | None:
    """The one that is `word` ("nearest", "farthest", "leftmost", "rightmost") of equal things, by
    a clear margin from every other one; None where there is no such one."""
    for one in things:
        others = [other for other in things if other is not one]
        if word in ("nearest", "farthest"):
            wanted = "nearer than" if word == "nearest" else "farther away than"
            clear = all(compared(one, other) == wanted for other in others)
        else:  # half a width
            lead = 1 if word == "leftmost" else -1
            clear = all(2 * lead * (other.x - one.x) >= one.width for other in others)
        if clear:
            return one
    return None
