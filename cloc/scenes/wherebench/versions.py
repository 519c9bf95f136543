"""The versions of WhereBench: which relations there are and where their items come from."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from cloc.errors import UserError
from cloc.scenes.wherebench import in_depth, items
from cloc.scenes.wherebench.pair import Item

LEAST_SIZE, GREATEST_SIZE = 64, 1024


class Version(NamedTuple):
    """Items are asked for by a relation and a number, in pictures of `size` pixels."""

    relations: tuple[str, ...]
    item: Callable[..., Item]
    look_alikes: tuple[str, ...]  # relations that tell two equal things apart
    look_alike_items: Callable[..., Iterator[Item]]  # pairs, size=
    bag_of_patches: Mapping[str, float]  # what a reader of patches in no order gets of a relation


def _flat(pairs: int, *, size: int) -> Iterator[Item]:
    """`pairs` in all: an item draws which of the relations it shows."""
    return (items.look_alike_item(number, size=size) for number in range(pairs))


def _in_depth(pairs: int, *, size: int) -> Iterator[Item]:
    """`pairs` of each relation."""
    for relation in in_depth.LOOK_ALIKES:
        for number in range(pairs):
            yield in_depth.look_alike_item(relation, number, size=size)


# The lines of bags: trained linear readers on 2,000 items, of version 1 by
# tests/eval/wherebench/leaks.py, of version 2 by tests/scenes/depth/leaks.py. At chance for others.
VERSIONS = {
    1: Version(
        tuple(items.RELATIONS),
        items.item,
        items.LOOK_ALIKES,
        _flat,
        {"front_behind": 1.0, "inside": 0.993, "on_under": 0.938},
    ),
    2: Version(
        tuple(in_depth.RELATIONS),
        in_depth.item,
        in_depth.LOOK_ALIKES,
        _in_depth,
        {
            **{"front_behind": 1.0, "own_in_line": 0.989},
            **{"in_beside": 1.0, "on_beside": 0.999, "on_under": 1.0},
        },
    ),
}


def check(*, version: int, pairs: int, size: int) -> None:
    """Whether there are such items; `UserError` says what would do."""
    if version not in VERSIONS:
        known = " or ".join(map(str, VERSIONS))
        raise UserError(f"WhereBench with version={version}: there is {known}")
    if pairs < 1:
        raise UserError(f"WhereBench with pairs={pairs}: set pairs to 1 or more")
    if not LEAST_SIZE <= size <= GREATEST_SIZE:
        raise UserError(
            f"WhereBench with size={size}: its pictures are drawn at {LEAST_SIZE} to "
            f"{GREATEST_SIZE} pixels; set size=224"
        )
