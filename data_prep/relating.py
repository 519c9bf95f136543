"""What can be said of the places of a record's regions, each of one of them alone; and what not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cloc.data.samples import relations as rules
from cloc.data.samples.orientation import to_upright
from cloc.data.samples.record import Record
from cloc.data.samples.relations import FLIPPED, Box, Depths
from data_prep.articles import without_article
from data_prep.batching import shown_size
from data_prep.masks import masks_of
from data_prep.stage import Notes

OPEN = "not_exhaustive"  # the key of `meta` with the labels of which not every one has a box
_MANY = frozenset("children feet men mice people sheep skis taxis teeth women".split())


class Thing(NamedTuple):
    """One region, as its picture is shown."""

    place: int  # of its region
    name: str  # its label, without an article and in small letters
    box: Box
    mask: np.ndarray | None
    depths: Depths | None
    refused: str  # why nothing is said of it, "" where something may be; it is a rival all the same


class Told(NamedTuple):
    """`thing` is `relation` to `other`, which is of a class of its own, and no other thing that is
    called alike is."""

    thing: Thing
    relation: str
    other: Thing
    alone: bool  # no other thing is called as it is


class Kinds(NamedTuple):
    """What holds something up or around it, by the last word of its name: masks do not tell these
    from what is before or behind."""

    supports: frozenset[str]
    containers: frozenset[str]


def tell(
    record: Record, near: np.ndarray | None, notes: Notes, *, kinds: Kinds, side_at_least: float
) -> Iterator[Told]:
    """All that is sure, for every thing the nearest other one first; what is refused is told to
    `notes`. `near` are the picture's depths as it is shown, larger where nearer."""
    things = _things(record, near, side_at_least)
    spread = 0.0 if near is None else float(np.ptp(_percentiles(near, 5, 95)))
    for thing in things:
        if thing.refused and len(things) > 1:
            notes.relation(record, thing.refused, record.regions[thing.place], thing.name)
    able = [thing for thing in things if not thing.refused]
    anchors = [thing for thing in able if len(_alike(thing, things)) == 1]
    for thing in able:
        others = [other for other in anchors if other is not thing]
        if not others and len(things) > 1:
            notes.relation(record, "no_anchor", record.regions[thing.place], thing.name)
        rivals = [rival for rival in _alike(thing, things) if rival is not thing]
        for other in sorted(others, key=lambda other: _distance(thing, other)):
            word, reason = relation_of(thing, other, spread, kinds)
            if word == "on" and any(_between(thing, third, other) for third in things):
                word, reason = "", "held"
            if word and not all(denied(rival, word, other, spread) for rival in rivals):
                word, reason = "", "rivals"
            if word:
                yield Told(thing, word, other, alone=not rivals)
            else:
                text = f"the {thing.name}, the {other.name}"
                notes.relation(record, reason, record.regions[thing.place], text)


def relation_of(a: Thing, b: Thing, spread: float, kinds: Kinds) -> tuple[str, str]:
    """The word for how `a` stands to `b`, or "" and the reason for none: "held" (one ends inside
    the other, which is no container and no support), "depth" (higher up, and at another depth),
    "meets" or "margin"."""
    if a.mask is not None and b.mask is not None:
        word, reason = _by_masks(a.mask, b.mask, b.name, kinds)
        if word or reason:
            return word, reason
    order = None
    if a.depths and b.depths:
        order = rules.depth_order(a.depths, b.depths, spread)
    word = rules.plane(a.box, b.box) or ""
    if word in ("above", "below") and order:
        return "", "depth"
    if not word and order and rules.meets(a.box, b.box) and rules.over(a.box, b.box):
        word = order
    return word, "" if word else "meets" if rules.meets(a.box, b.box) else "margin"


def _between(a: Thing, third: Thing, b: Thing) -> bool:
    """Whether `a` ends inside what ends inside `b`: a spoon in a bowl is not said to be on the
    table."""
    if a.mask is None or b.mask is None or third.mask is None or third.place in (a.place, b.place):
        return False
    return _ends_in(a.mask, third.mask) and _ends_in(third.mask, b.mask)


def _ends_in(a: np.ndarray, b: np.ndarray) -> bool:
    return rules.held(a, b) or rules.enclosed(a, b)


def _by_masks(a: np.ndarray, b: np.ndarray, name: str, kinds: Kinds) -> tuple[str, str]:
    noun = name.rpartition(" ")[2]
    if rules.enclosed(a, b):  # on a carpet it would touch it: something else is between
        return ("inside", "") if noun not in kinds.supports else ("", "held")
    if rules.held(a, b):
        if noun in kinds.containers:
            return "inside", ""
        return ("on", "") if noun in kinds.supports else ("", "held")
    return "", "held" if _ends_in(b, a) else ""


def denied(rival: Thing, word: str, b: Thing, spread: float) -> bool:
    """Whether it is clear that `rival` is not `word` to `b`."""
    if word in ("left of", "right of", "above", "below"):
        return rules.clearly_not(rival.box, word, b.box)
    if word in ("inside", "on"):
        return not rules.touch(rival.box, b.box)
    if not (rival.box[0] < b.box[2] and b.box[0] < rival.box[2]):
        return True  # beside it
    if rival.depths is None or b.depths is None:
        return False
    return rules.depth_order(rival.depths, b.depths, spread) == FLIPPED[word]


def _things(record: Record, near: np.ndarray | None, side_at_least: float) -> list[Thing]:
    size = (record.width, record.height)
    given = np.array([region.box for region in record.regions], np.float64).reshape(-1, 4)
    boxes = to_upright(given, *size, record.orientation)
    at_least = side_at_least * min(shown_size(record))
    is_open = record.meta.get(OPEN)
    unclosed = {str(x).lower() for x in is_open} if isinstance(is_open, list) else set()
    things = []
    for i, (region, mask) in enumerate(zip(record.regions, masks_of(record), strict=True)):
        x0, y0, x1, y1 = (float(x) for x in boxes[i])
        name = without_article(" ".join(region.label.lower().split()))
        small = "small" if min(x1 - x0, y1 - y0) < at_least else ""
        refused = _refused(name, unclosed) or small
        depths = None if near is None else _depths(near, mask, (x0, y0, x1, y1))
        things.append(Thing(i, name, (x0, y0, x1, y1), mask, depths, refused))
    return things


def _refused(name: str, unclosed: set[str]) -> str:
    if not name:
        return "no_label"
    if name in unclosed:
        return "not_exhaustive"
    last = name.rpartition(" ")[2]
    many = last.endswith("s") and not last.endswith(("ss", "us", "is"))
    return "plural" if many or last in _MANY else ""


def _alike(thing: Thing, things: Sequence[Thing]) -> list[Thing]:
    """Whatever its name can mean, itself too: a coffee cup is a cup."""
    return [t for t in things if t.name == thing.name or t.name.endswith(f" {thing.name}")]


def _depths(near: np.ndarray, mask: np.ndarray | None, box: Box) -> Depths | None:
    """Quartiles over its mask. Without one, over the inner half of its box along both axes, widened
    to the median of the box: through a chair or a ring the middle shows what is behind it."""
    if mask is not None:
        far, nearer = _percentiles(near[mask], 25, 75)
    else:
        wide, high = (box[2] - box[0]) / 4, (box[3] - box[1]) / 4
        inner = (box[0] + wide, box[1] + high, box[2] - wide, box[3] - high)
        (middle, _), (far, nearer) = (
            _percentiles(_cut(near, of), *wanted)
            for of, wanted in ((box, (50, 50)), (inner, (25, 75)))
        )
        far, nearer = min(far, middle), max(nearer, middle)
    return Depths(far, nearer) if np.isfinite([far, nearer]).all() else None


def _cut(near: np.ndarray, box: Box) -> np.ndarray:
    """At least one pixel."""
    x0, y0 = int(box[0]), int(box[1])
    return near[y0 : max(round(box[3]), y0 + 1), x0 : max(round(box[2]), x0 + 1)]


def _percentiles(values: np.ndarray, *wanted: float) -> list[float]:
    given = values[np.isfinite(values)]
    return [float(x) for x in np.percentile(given, wanted)] if given.size else [np.nan] * 2


def _distance(a: Thing, b: Thing) -> float:
    dx, dy = ((b.box[i] + b.box[i + 2] - a.box[i] - a.box[i + 2]) / 2 for i in (0, 1))
    return float(np.hypot(dx, dy))


def margins() -> Mapping[str, int]:
    """The rules' margins by name, for `describe`."""
    names = ("APART", "ALONG", "DENIED", "MEETS", "OVER", "NEARER", "FOOT", "FLANKED", "CLOSE")
    return {name.lower(): getattr(rules, name) for name in names}
