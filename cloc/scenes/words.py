"""What is said of a scene: captions, true relations and their flipped form, relational names."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from random import Random
from typing import NamedTuple, TypeVar

from cloc.data.samples.relations import FLIPPED
from cloc.scenes.kinds import Kind, article, plural
from cloc.scenes.layout import Layout
from cloc.scenes.relations import Thing, clearly_not, depth, placement

T = TypeVar("T")
NUMBERS = ("no", "a", "two", "three", "four", "five", "six")


class Phrase(NamedTuple):
    """A sentence or relational name that is true, and the same with its relation flipped."""

    text: str
    flipped: str


class Statement(NamedTuple):
    """One clear relation between two objects."""

    subject: str  # with its article, like `other`
    relation: str
    other: str
    unique: bool  # both are words that fit one object of the scene only

    @property
    def text(self) -> str:
        return f"{self.subject} {self.relation} {self.other}"


class Words(NamedTuple):
    """`relation` is None where no two objects with unique words stand clearly to each other."""

    captions: list[str]  # 2 to 4, all different
    relation: Phrase | None
    twins: tuple[Phrase, Phrase] | None  # relational names of the two look-alikes


def describe(rng: Random, layout: Layout) -> Words:
    """Every sentence is true by the geometry of `scenes_relations`."""
    things = layout.things
    names = [thing.kind.name for thing in things]
    statements = _shuffled(rng, _statements(rng, things, names))
    captions = _captions(rng, things, names, statements)
    twins = None
    if layout.twins is not None:
        one, other = (things[i] for i in layout.twins)
        of_one = relational_name(rng, layout, one)
        of_other = relational_name(rng, layout, other)
        assert of_one is not None  # the layout puts look-alikes on two sides of a third
        assert of_other is not None
        twins = of_one, of_other
    return Words(captions, _flippable(statements), twins)


def relational_name(rng: Random, layout: Layout, thing: Thing) -> Phrase | None:
    """ "the red star left of the blue ring": true of `thing` alone; its flipped form is not.

    The other object has a colour and shape of its own. So has `thing`, or it is a look-alike and
    the other one is clearly not there. None where no relation serves.
    """
    names = [thing.kind.name for thing in layout.things]
    rivals = [t for t in layout.things if t.kind.name == thing.kind.name and t is not thing]
    found = []
    for anchor in layout.things:
        if anchor is thing or names.count(anchor.kind.name) > 1:
            continue
        relation = placement(thing, anchor)
        if relation and all(clearly_not(rival, relation, anchor) for rival in rivals):
            found.append((relation, anchor.kind.name))
    if not found:
        return None
    relation, anchor_name = found[int(rng.random() * len(found))]
    text = f"the {thing.kind.name} {{}} the {anchor_name}"
    return Phrase(text.format(relation), text.format(FLIPPED[relation]))


def _statements(rng: Random, things: Sequence[Thing], names: list[str]) -> Iterable[Statement]:
    """All clear relations, each told from one of its two sides."""
    fulls = [thing.kind.full for thing in things]
    words = [_called(thing.kind, names, fulls) for thing in things]
    single = [fulls.count(full) == 1 for full in fulls]
    for a, b in combinations(range(len(things)), 2):
        relation = depth(things[a], things[b]) or placement(things[a], things[b])
        if relation is None:
            continue
        if relation == "around":
            a, b, relation = b, a, "inside"
        elif relation != "inside" and rng.random() < 0.5:
            a, b, relation = b, a, FLIPPED[relation]
        yield Statement(words[a], relation, words[b], single[a] and single[b])


def _called(kind: Kind, names: list[str], fulls: list[str]) -> str:
    """The short name, unless only the full one tells it from others."""
    only_full = names.count(kind.name) > 1 and fulls.count(kind.full) == 1
    return article(kind.full if only_full else kind.name)


def _flippable(statements: Iterable[Statement]) -> Phrase | None:
    for s in statements:
        if s.unique and s.relation in FLIPPED:
            return Phrase(s.text, f"{s.subject} {FLIPPED[s.relation]} {s.other}")
    return None


def _captions(
    rng: Random, things: Sequence[Thing], names: list[str], statements: Sequence[Statement]
) -> list[str]:
    """Lists of objects and statements of relations; at most 26 words each."""
    groups = [counted(name, names.count(name)) for name in _shuffled(rng, dict.fromkeys(names))]
    some = dict.fromkeys(article(thing.kind.full) for thing in _shuffled(rng, things))
    everything, details = joined(groups), list(some)
    captions = [everything, joined(details[:3])]
    if statements:
        first, last = statements[0].text, statements[-1].text
        captions = [
            first,
            everything,
            f"{joined(groups[:2])}; {last}",
            f"{joined(details[:2])}; {first}",
        ]
    at_most = 2 + int(rng.random() * 3)
    return captions[:at_most]


def counted(name: str, count: int) -> str:
    """ "a red star", "two red stars"."""
    return article(name) if count == 1 else f"{NUMBERS[count]} {plural(name)}"


def joined(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _shuffled(rng: Random, things: Iterable[T]) -> list[T]:
    return sorted(things, key=lambda _: rng.random())
