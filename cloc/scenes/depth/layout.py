"""What a scene with depth holds and where it stands, in both versions; nothing is hidden far."""

from collections.abc import Sequence
from itertools import combinations
from random import Random
from typing import NamedTuple

from cloc.data.samples.relations import TOWARDS
from cloc.scenes.depth.arrange import (
    KINDS,
    NEAREST,
    SOLITARY,
    Pair,
    Plan,
    draw_plan,
    pairs,
    world_of,
)
from cloc.scenes.depth.camera import Camera, draw_camera
from cloc.scenes.depth.place import Placed, at, painted, visible
from cloc.scenes.depth.relations import ENDS, ends
from cloc.scenes.depth.solids import FRONTED, HELD_OUT, PLAIN, SHAPES, Solid, solids_of
from cloc.scenes.wherebench.canvas import among, below, one_of, shuffled

MIN_VISIBLE = 50  # hundredths of a thing's pixels that nothing covers
MOST_HIDDEN = 25  # hundredths that one thing covers of another that it has nothing to do with
FILLERS, TRIES = 3, 5  # things besides, at most, and places tried for each
PLAN_TRIES = 50  # pictures tried for two solids in their relation before there are other two
CROWD = 0.2  # share of the scenes that show several equal things and say which by its rank
DIFFERENT_ROWS = 15  # thousandths: of two that overlap, or nobody sees which is in front


class Version(NamedTuple):
    """Things in the order of their first painting; `pairs` are what is related."""

    things: list[Placed]
    visible: dict[Placed, int]
    pairs: list[Pair]


class Layout(NamedTuple):
    """`versions` differ by one relation; of a crowd there is one."""

    camera: Camera
    kind: str  # of the rule that its relation goes by: "view", "own", "hold", "crowd"
    versions: list[Version]
    crowd: list[Placed]


def draw_layout(
    rng: Random, size: int, *, twins: bool, held_out: str, kind: str | None = None
) -> Layout:
    """Two look-alikes with `twins`. `held_out`: "never" draws no held-out pair of colour and shape,
    "always" at least one. `kind` is one of `KINDS` or "crowd"; None: any."""
    any_pair = held_out != "never"
    kind = kind or ("crowd" if rng.random() < CROWD else one_of(rng, KINDS))
    number = 2 if twins else 3 + below(rng, 3)
    while True:
        if kind == "crowd":
            camera = draw_camera(rng)
            solid = one_of(rng, solids_of(one_of(rng, (*PLAIN, *FRONTED)), any_pair))
            found = draw_crowd(rng, solid, camera, size, any_pair=any_pair, count=number)
        else:
            plan = draw_plan(rng, kind, held_out=any_pair)
            found = _related(rng, plan, any_pair, size, count=1 + twins)
        if found is not None:
            names = {thing.solid.name for thing in found.versions[0].things}
            if held_out != "always" or names & HELD_OUT:
                return found


def _related(rng: Random, plan: Plan, any_pair: bool, size: int, *, count: int) -> Layout | None:
    for _ in range(PLAN_TRIES):
        camera = draw_camera(rng)
        both = pairs(rng, plan, camera, size, count=count)
        if both is None:
            continue
        shown = [[thing for pair in found for thing in pair[::2]] for found in both]
        if all(
            _well_seen(things) and _strangers_clear(found)
            for things, found in zip(shown, both, strict=True)
        ):
            more = _fillers(rng, any_pair, camera, size, shown)
            versions = [
                _version([*things, *more], found) for things, found in zip(shown, both, strict=True)
            ]
            return Layout(camera, plan.kind, versions, [])
    return None


def draw_crowd(
    rng: Random, solid: Solid, camera: Camera, size: int, *, any_pair: bool, count: int
) -> Layout | None:
    """Equal things anywhere on the ground, of which one is clearly nearest and one farthest, or, of
    more than two, one leftmost and one rightmost. None where it did not come out right."""
    world = world_of(rng, solid)
    things: list[Placed] = []
    for _ in range(count * TRIES):
        if len(things) < count:
            thing = _anywhere(rng, solid, camera, size, world)
            if thing is not None and _fits(thing, [things]):
                things.append(thing)
    if len(things) < count or not any(ends(things, words) for words in ENDS[: count - 1]):
        return None
    more = _fillers(rng, any_pair, camera, size, [things])
    # in no order: what is put first has more room, and so is a little oftener the nearer one
    return Layout(camera, "crowd", [_version([*things, *more], [])], shuffled(rng, things))


def _fillers(
    rng: Random, any_pair: bool, camera: Camera, size: int, shown: list[list[Placed]]
) -> list[Placed]:
    """More things, each of a kind of its own. What is related they do not hide at all: what a car
    looks like tells where its front is."""
    related = [thing for things in shown for thing in things]
    taken = {thing.solid for thing in related}
    more: list[Placed] = []
    for _ in range(below(rng, FILLERS + 1)):
        solid = one_of(rng, solids_of(one_of(rng, SHAPES), any_pair))
        if solid in taken:
            continue
        world = world_of(rng, solid)
        for _ in range(TRIES):
            thing = _anywhere(rng, solid, camera, size, world)
            if thing is None or any(thing.row > t.row and thing.bits & t.bits for t in related):
                continue
            if _fits(thing, [[*things, *more] for things in shown]):
                more.append(thing)
                taken.add(solid)
                break
    return more


def _anywhere(rng: Random, solid: Solid, camera: Camera, size: int, world: int) -> Placed | None:
    row = among(rng, camera.farthest, NEAREST)
    half = camera.side(world, row) // 2
    facing = below(rng, 4) if solid.shape in FRONTED else TOWARDS
    x = among(rng, min(half, 500), max(1000 - half, 500))
    return at(solid, camera, size, world=world, x=x, row=row, facing=facing)


def _fits(thing: Placed, shown: Sequence[list[Placed]]) -> bool:
    """Whether it may be put among the things of every version."""
    return all(
        all(_clear(thing, other, MOST_HIDDEN) for other in things) and _well_seen([*things, thing])
        for things in shown
    )


def _strangers_clear(found: Sequence[Pair]) -> bool:
    """Whether things that are not each other's are clear of each other, and those that are of
    such a kind that it is seen which is in front."""
    for pair in found:
        if pair.one.holder is None and not _clear(pair.one, pair.other, 100):
            return False
    return all(
        _clear(a, b, MOST_HIDDEN)
        for first, second in combinations(found, 2)
        for a in first[::2]
        for b in second[::2]
    )


def _clear(a: Placed, b: Placed, most: int) -> bool:
    """Whether the nearer of the two hides at most so many hundredths of the other, and it is seen
    that the other one is behind it: not in front of it, on it, under it or in it."""
    if not {a.solid.shape, b.solid.shape} <= SOLITARY:
        columns = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
        rows = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
        return columns <= 0 or -4 * rows > max(a.height, b.height)
    shared = a.bits & b.bits
    if not shared:
        return True
    nearer, farther = (a, b) if a.row > b.row else (b, a)
    return (
        nearer.solid.colour != farther.solid.colour
        and nearer.row - farther.row >= DIFFERENT_ROWS
        and 100 * shared.bit_count() <= most * farther.bits.bit_count()
    )


def _well_seen(things: Sequence[Placed]) -> bool:
    return all(
        100 * bits.bit_count() >= MIN_VISIBLE * thing.bits.bit_count()
        for thing, bits in visible(painted(things)).items()
    )


def _version(things: Sequence[Placed], found: list[Pair]) -> Version:
    layers = painted(things)
    return Version(list(dict.fromkeys(thing for thing, _ in layers)), visible(layers), found)
