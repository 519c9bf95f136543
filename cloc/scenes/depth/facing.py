"""Where a thing's front points, as a name of its own for its region."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cloc.data.samples.record import Record, Region
from cloc.scenes.kinds import article

OPPOSITE = {"away": "towards", "to the left": "to the right"}
OPPOSITE |= {two: one for one, two in OPPOSITE.items()}
WORDS = {"away": "away", "towards": "towards the viewer", "to the left": "left"}
WORDS |= {"to the right": "right"}


def with_facing(record: Record) -> Record:
    """A scene with depth, with a further region for each thing that has a front: in the same box
    "a red car facing left", and the opposite as its hard negative."""
    things = zip(record.regions, record.meta["objects"], record.meta["things"], strict=False)
    more = [_named(region, name, thing) for region, name, thing in things if thing["facing"]]
    return record.with_regions(range(len(record.regions)), more)


def _named(region: Region, name: str, thing: Mapping[str, Any]) -> Region:
    true, false = thing["facing"], OPPOSITE[thing["facing"]]
    texts = [f"{article(name)} facing {WORDS[side]}" for side in (true, false)]
    return replace(region, text=texts[0], negatives=(texts[1],))
