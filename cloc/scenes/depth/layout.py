"""What a scene with depth holds and where it stands, in both versions; nothing is hidden too far."""

from collections.abc import Sequence
from itertools import combinations
from random import Random
from typing import NamedTuple

from cloc.scenes.depth.arrange import KINDS, NEAREST, Pair, Plan, draw_plan, pairs, world_of
from cloc.scenes.depth.camera import Camera, draw_camera
from cloc.scenes.depth.place import Placed, at, painted, visible
from cloc.scenes.depth.relations import extreme
from cloc.scenes.depth.solids import ALL, FRONTED, HELD_OUT, PLAIN, SEEN, SHAPES, Solid
from cloc.scenes.wherebench.canvas import among, below, one_of

MIN_VISIBLE = 45  # hundredths of a thing's pixels that nothing covers
FILLERS, TRIES = 3, 3  # things besides, at most, and places tried for each
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


def draw_layout(rng: Random, size: int, *, twins: bool, held_out: str) -> Layout:
    """Two look-alikes with `twins`. `held_out`: "never" draws no held-out pair of colour and shape,
    "always" at least one."""
    pool = SEEN if held_out == "never" else ALL
    kind = "crowd" if rng.random() < CROWD else one_of(rng, KINDS)
    number = 2 if twins else 3 + below(rng, 3)
    while True:
        if kind == "crowd":
            found = _crowd(rng, pool, draw_camera(rng), size, count=number)
        else:
            plan = draw_plan(rng, pool, kind)
            found = _related(rng, plan, pool, size, count=1 + twins)
        if found is not None:
            names = {thing.solid.name for thing in found.versions[0].things}
            if held_out != "always" or names & HELD_OUT:
                return found


def _related(
    rng: Random, plan: Plan, pool: Sequence[Solid], size: int, *, count: int
) -> Layout | None:
    for _ in range(PLAN_TRIES):
        camera = draw_camera(rng)
        both = pairs(rng, plan, camera, size, count=count)
        if both is None:
            continue
        shown = [[thing for pair in found for thing in pair[::2]] for found in both]
        if all(_clear(things) for things in shown):
            more = _fillers(rng, pool, camera, size, shown)
            versions = [
                _version([*things, *more], found)
                for things, found in zip(shown, both, strict=True)
            ]
            return Layout(camera, plan.kind, versions, [])
    return None


def _crowd(
    rng: Random, pool: Sequence[Solid], camera: Camera, size: int, *, count: int
) -> Layout | None:
    """Equal things anywhere on the ground, one of them clearly nearest and one farthest where they
    are two, one of them clearly something where they are more."""
    shapes = (*PLAIN, *FRONTED)
    shape = one_of(rng, shapes)
    solid = one_of(rng, [s for s in pool if s.shape == shape])
    world = world_of(rng, solid)
    things: list[Placed] = []
    for _ in range(count * TRIES):
        if len(things) < count:
            thing = _anywhere(rng, solid, camera, size, world)
            if thing is not None and _clear([*things, thing]):
                things.append(thing)
    words = ("nearest", "farthest") if count == 2 else ("nearest", "farthest", "leftmost", "rightmost")
    if len(things) < count or not any(extreme(things, word) for word in words):
        return None
    more = _fillers(rng, pool, camera, size, [things])
    return Layout(camera, "crowd", [_version([*things, *more], [])], things)


def _fillers(
    rng: Random, pool: Sequence[Solid], camera: Camera, size: int, shown: list[list[Placed]]
) -> list[Placed]:
    """More things, each of a kind of its own, that hide nothing in any version."""
    taken = {thing.solid for things in shown for thing in things}
    more: list[Placed] = []
    for _ in range(below(rng, FILLERS + 1)):
        shape = one_of(rng, SHAPES)
        solid = one_of(rng, [s for s in pool if s.shape == shape])
        if solid in taken:
            continue
        world = world_of(rng, solid)
        for _ in range(TRIES):
            thing = _anywhere(rng, solid, camera, size, world)
            if thing is not None and all(_clear([*things, *more, thing]) for things in shown):
                more.append(thing)
                taken.add(solid)
                break
    return more


def _anywhere(rng: Random, solid: Solid, camera: Camera, size: int, world: int) -> Placed | None:
    row = among(rng, camera.farthest, NEAREST)
    half = camera.side(world, row) // 2
    facing = below(rng, 4) if solid.shape in FRONTED else 2
    x = among(rng, min(half, 500), max(1000 - half, 500))
    return at(solid, camera, size, world=world, x=x, row=row, facing=facing)


def _clear(things: Sequence[Placed]) -> bool:
    """Whether all are seen well enough, and it is seen which of two that overlap is in front."""
    for a, b in combinations(things, 2):
        if a.bits & b.bits and a.holder is not b and b.holder is not a:
            if a.solid.colour == b.solid.colour or abs(a.row - b.row) < DIFFERENT_ROWS:
                return False
    seen = visible(painted(things))
    return all(
        100 * bits.bit_count() >= MIN_VISIBLE * thing.bits.bit_count()
        for thing, bits in seen.items()
    )


def _version(things: Sequence[Placed], found: list[Pair]) -> Version:
    layers = painted(things)
    return Version(list(dict.fromkeys(thing for thing, _ in layers)), visible(layers), found)
