"""Solids in relations: every arrangement in two versions that differ by the one relation.

A candidate stands where it stands; what it is related to is put around it, in one of two ways. An
arrangement is kept only if both ways fit, so the places of candidates tell nothing of the relation.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from cloc.data.samples.relations import TOWARDS, from_here, own_side
from cloc.scenes.depth.camera import Camera
from cloc.scenes.depth.place import Placed, at, holding, pixels
from cloc.scenes.depth.relations import holds
from cloc.scenes.depth.solids import FRONTED, HOLDERS, PLAIN, WORLD, Solid, solids_of
from cloc.scenes.depth.stamps import form
from cloc.scenes.wherebench.canvas import among, below, one_of

SMALLEST, GREATEST = 235, 305  # sides of a ball at the lower edge of the picture
NEAREST = 965  # row of what stands nearest
# Between two side by side: no patch of an eighth of the picture's side holds parts of both.
GAP, WIDEST_GAP = 125, 155
EIGHTH = 125  # places vary by whole eighths: where the patches cut a thing does not tell its place
ROOM = 500 - WIDEST_GAP - EIGHTH // 2 - 20  # for half a candidate and the whole other thing
ACROSS, ALONG = ("left of", "right of"), ("in front of", "behind")
OWN_PAIRS = ("left", "right"), ("front", "back")
KINDS = ("across", "along", "own", "hold")
# What stands behind a chair, table, bowl or box looks as if it were on or in it.
SOLITARY = frozenset((*PLAIN, "car", "duck"))


class Pair(NamedTuple):
    """`one` is `word` of `other`, and of no other thing of that name."""

    one: Placed
    word: str
    other: Placed


class Plan(NamedTuple):
    """What an arrangement is made of."""

    kind: str  # of the rule: "view", "own", "hold"
    axis: tuple[str, str]  # ACROSS or ALONG; what is beside stands across
    words: tuple[str, str]  # of which one holds in each version
    solids: tuple[Solid, Solid]  # candidate and what it is related to

    @property
    def in_rows(self) -> bool:
        """Whether the candidate needs room on both sides for the other thing."""
        return self.axis == ACROSS and self.kind != "hold"


def draw_plan(rng: Random, kind: str, *, held_out: bool) -> Plan:
    """Two solids of different colours, fit for the kind of relation."""
    axis = ALONG if kind == "along" or (kind == "own" and below(rng, 2)) else ACROSS
    shapes = [s for s in (*PLAIN, *FRONTED) if axis == ACROSS or s in SOLITARY]
    if kind == "hold":
        other = _of(rng, held_out, tuple(HOLDERS), colour="")
        one = _of(rng, held_out, (*PLAIN, "duck"), colour=other.colour)
        return Plan("hold", ACROSS, HOLDERS[other.shape], (one, other))
    if kind == "own":
        other = _of(rng, held_out, [s for s in shapes if s in FRONTED], colour="")
        one = _of(rng, held_out, shapes, colour=other.colour)
        return Plan("own", axis, one_of(rng, OWN_PAIRS), (one, other))
    other = _of(rng, held_out, shapes, colour="")
    return Plan("view", axis, axis, (_of(rng, held_out, shapes, colour=other.colour), other))


def _of(rng: Random, held_out: bool, shapes: Sequence[str], *, colour: str) -> Solid:
    """Shapes are as likely as each other; none of `colour`."""
    while True:
        solid = one_of(rng, solids_of(one_of(rng, shapes), held_out))
        if solid.colour != colour:
            return solid


def world_of(rng: Random, solid: Solid) -> int:
    """A size of its own: how large it is drawn does not say how far away it is."""
    return among(rng, SMALLEST, GREATEST) * WORLD[solid.shape] // 10


def pairs(
    rng: Random, plan: Plan, camera: Camera, size: int, *, count: int
) -> tuple[list[Pair], list[Pair]] | None:
    """One candidate or two look-alikes, in both versions; None where it did not come out right.

    Of look-alikes each stands to a thing of its own as the plan's one word says, and the other one
    to an equal thing as the other word does; in the other version it is the other way round.
    """
    worlds = _worlds(rng, plan, camera, count)
    facing = below(rng, 4) if plan.solids[0].shape in FRONTED else TOWARDS
    ways = []
    for x, row in _spots(rng, plan, camera, worlds, count):
        found = _both_ways(rng, plan, camera, size, worlds, x=x, row=row, facing=facing)
        if found is None:
            return None
        ways.append(found)
    first = below(rng, 2)
    versions = [[way[(first + i + v) % 2] for i, way in enumerate(ways)] for v in (0, 1)]
    if all(_told(plan.kind, version) for version in versions):
        return versions[0], versions[1]
    return None


def _worlds(rng: Random, plan: Plan, camera: Camera, count: int) -> list[int]:
    """Sizes of the two solids, small enough for the room that there is."""
    worlds = [world_of(rng, solid) for solid in plan.solids]
    if plan.in_rows:
        if count == 2:  # two rows of them
            worlds = [17 * world // 20 for world in worlds]
        # both ways fit where the candidate stands 150 rows before the farthest place
        most = ROOM * (1000 - camera.horizon) // (camera.farthest + 150 - camera.horizon)
        need = worlds[0] // 2 + worlds[1]
        worlds = [world * min(most, need) // need for world in worlds]
    return worlds


def _spots(
    rng: Random, plan: Plan, camera: Camera, worlds: Sequence[int], count: int
) -> list[tuple[int, int]]:
    """Places of candidates, (x, row), in no order: two are in two rows where they need room on both
    sides, else side by side."""
    high, low = camera.farthest, NEAREST
    step = low - camera.horizon
    if plan.axis == ALONG:
        high, low = high + step * 13 // 100, low - step * 22 // 100
    elif plan.kind == "hold":
        low -= step * (20 if count == 1 else 30) // 100
    if plan.in_rows:  # as near as there is room for both ways
        room = ROOM * (1000 - camera.horizon) // (worlds[0] // 2 + worlds[1])
        low = min(low, camera.horizon + room)
    rows = [among(rng, high, low) for _ in range(count)]
    if count == 2 and plan.in_rows:
        apart = min(camera.side(max(worlds), low), low - high)
        rows[0] = among(rng, high, low - apart)
        rows[1] = among(rng, rows[0] + apart, low)
    found = []
    for i, row in enumerate(rows):
        one, other = (camera.side(world, row) for world in worlds)
        need = one // 2 + WIDEST_GAP + other if plan.in_rows else max(one, other) // 2
        left, right = need, 1000 - need
        if plan.in_rows:
            span = (right - left) // EIGHTH * EIGHTH
            left, right = 500 - span // 2, 500 - span // 2 + span - 1
        elif count == 2:
            middle = 500 - 11 * need // 10, 500 + 11 * need // 10
            left, right = (left, max(left, middle[0])) if i == 0 else (min(middle[1], right), right)
        found.append((among(rng, left, right), row))
    return found[::-1] if below(rng, 2) else found


def _both_ways(
    rng: Random,
    plan: Plan,
    camera: Camera,
    size: int,
    worlds: Sequence[int],
    *,
    x: int,
    row: int,
    facing: int,
) -> tuple[Pair, Pair] | None:
    """The candidate at its place, the other thing where the first word is true, and the second."""
    one, other = plan.solids
    stands = at(one, camera, size, world=worlds[0], x=x, row=row, facing=facing)
    if stands is None:
        return None
    gap, shift, aside = among(rng, GAP, WIDEST_GAP), among(rng, -20, 20), below(rng, 2)
    views = _views(rng, plan)
    found = []
    for word, (view, turned) in zip(plan.words, views, strict=True):
        if word in ("in", "on", "under"):
            both = holding(other, camera, size, world=worlds[1], content=stands, word=word)
            if both is None:
                return None
            found.append(Pair(both[0], word, both[1]))
            continue
        if word == "beside":
            view, gap = ACROSS[aside], gap - GAP + 15
        shown = form(other.shape, turned, pixels(camera.side(worlds[1], row), size), size)
        reach = 500 * (stands.width + shown.width) // size + gap
        step = 1000 * _step(stands.height, shown.height, view, gap - GAP) // size
        spot = _opposite(view, x, row, shift, reach=reach, step=step)
        placed = at(other, camera, size, world=worlds[1], x=spot[0], row=spot[1], facing=turned)
        if placed is None:
            return None
        found.append(Pair(stands, word, placed))
    return found[0], found[1]


def _views(rng: Random, plan: Plan) -> list[tuple[str, int]]:
    """Of each word, how the candidate stands to the other thing for the viewer, and where that
    one's front points. What is on its own left changes with its place or with its turn."""
    facing = below(rng, 4) if plan.solids[1].shape in FRONTED else TOWARDS
    if plan.kind != "own":
        return [(word, facing) for word in plan.words]
    if below(rng, 2):
        view = one_of(rng, plan.axis)
        return [(view, turn) for w in plan.words for turn in range(4) if own_side(view, turn) == w]
    turns = [turn for turn in range(4) if from_here(plan.words[0], turn) in plan.axis]
    facing = one_of(rng, turns)
    return [(from_here(word, facing), facing) for word in plan.words]


def _opposite(view: str, x: int, row: int, shift: int, *, reach: int, step: int) -> tuple[int, int]:
    """Where a thing is to be for what stands at (x, row) to be `view` of it."""
    return {
        "left of": (x + reach, row + shift),
        "right of": (x - reach, row + shift),
        "in front of": (x + shift, row - step),
        "behind": (x + shift, row + step),
    }[view]


def _step(height: int, other: int, view: str, some: int) -> int:
    """Rows between the feet of two behind each other: the nearer hides 22 to 42 % of the other's
    height, but a fifth to 45 % of its own; `some` is from 0 to 30."""
    nearer, farther = (other, height) if view == "behind" else (height, other)
    hidden = farther * (22 + 2 * some // 3) // 100
    return nearer - min(max(hidden, nearer // 5 + 1), 9 * nearer // 20)


def _told(kind: str, version: Sequence[Pair]) -> bool:
    """Whether each is clearly what is said of it, and the others clearly are not."""
    for i, pair in enumerate(version):
        if not holds(kind, pair.one, pair.word, pair.other):
            return False
        for j, rival in enumerate(version):
            if i != j and any(
                holds(kind, rival.one, pair.word, other.other, loose=True) for other in version
            ):
                return False
    return True
