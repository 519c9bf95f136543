"""What `meta` says of single regions goes where they go: lists in their order, and places in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from cloc.data.samples.validate import CURE, shown
from cloc.errors import BadSample

MASKS = "masks"  # one for every region, null for none
OF_SCENES = ("objects", "things")  # of the first regions, one each
PLACES = ("twins", "pairs")  # lists of {"region": place, "other": place, ..}
HOLDER = "holder"  # the place of another one, or null, of an entry of `things`


def check_masks(given: Any, where: str, *, count: int) -> list[Any]:
    """A list with one for each of `count` regions; what they are is not looked at."""
    if isinstance(given, list) and len(given) == count:
        return given
    what = f"{len(given)} masks" if isinstance(given, list) else shown(given)
    expected = f"{what} for {count} regions, expected one or null for each"
    raise BadSample("meta", f"{where}: meta.{MASKS} has {expected}; {CURE}")


def carried(
    meta: Mapping[str, Any], where: str, *, kept: Sequence[int], count: int, added: int = 0
) -> dict[str, Any]:
    """The `meta` of `count` regions for those at the places `kept`, in their order, and `added` new
    ones behind. Masks, and what scenes say of each thing, are those of the kept; a twin or pair
    goes with either of its two. All else stays."""
    found = dict(meta)
    if meta.get(MASKS) is not None:
        masks = check_masks(meta[MASKS], where, count=count)
        found[MASKS] = [masks[i] for i in kept] + [None] * added
    place = {old: new for new, old in reversed(tuple(enumerate(kept)))}  # the first, if repeated
    for name in PLACES:
        if isinstance(meta.get(name), list):
            moved = [_moved(entry, place) for entry in meta[name]]
            found[name] = [entry for entry in moved if entry is not None]
    # Other people's `meta` may have lists of these names; only scenes have twins beside them.
    for name in OF_SCENES if "twins" in meta else ():
        given = meta.get(name)
        if isinstance(given, list) and len(given) <= count:
            found[name] = [_held(given[i], place) for i in kept if i < len(given)]
    return found


def _moved(entry: Any, place: Mapping[int, int]) -> Any:
    """None where one of the two is gone; itself where it names no places."""
    names = ("region", "other")
    if not isinstance(entry, dict) or not all(type(entry.get(name)) is int for name in names):
        return entry
    if not all(entry[name] in place for name in names):
        return None
    return {**entry, **{name: place[entry[name]] for name in names}}


def _held(thing: Any, place: Mapping[int, int]) -> Any:
    if isinstance(thing, dict) and type(thing.get(HOLDER)) is int:
        return {**thing, HOLDER: place.get(thing[HOLDER])}
    return thing
