"""What is said of a scene with depth: captions, names by a relation, and both flipped.

Left, right, behind and in front are the viewer's; where the other thing has a front of its own, the
words say whose side is meant: "left of a car from the viewer", "on a car's own left".
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from cloc.data.samples.relations import FLIPPED
from cloc.scenes.depth.layout import Layout, Version
from cloc.scenes.depth.place import Placed
from cloc.scenes.depth.relations import ENDS, OF_TWO, aside, ends
from cloc.scenes.depth.solids import FRONTED, HOLDERS
from cloc.scenes.kinds import article, plural
from cloc.scenes.wherebench.canvas import below, one_of, shuffled
from cloc.scenes.words import NUMBERS, Phrase, counted, joined

CONVERSE = {**FLIPPED, "left": "right", "right": "left", "front": "back", "back": "front"}
STATED = 3  # pairs of things looked at for a statement


class Words(NamedTuple):
    """`given` has each look-alike, and what stands out of a crowd."""

    captions: list[str]  # 2 to 4, all different
    relation: Phrase | None  # a caption that is true, and the same with its relation flipped
    given: dict[Placed, Phrase]  # names of the things that the scene is about


def describe(rng: Random, layout: Layout, version: Version) -> Words:
    """Every sentence is true by `relations`, and every flipped one is not."""
    names = [thing.solid.name for thing in version.things]
    stated = _statements(rng, version.things, names)
    if len(version.pairs) == 1:
        stated.insert(0, _of_pair(rng, layout.kind, version, "a"))
    given = _given(rng, layout, version)
    return Words(_captions(rng, names, stated, given), stated[0] if stated else None, given)


def phrase(kind: str, one: str, word: str, other: str, *, fronted: bool) -> str:
    """`one` and `other` have their articles; `fronted`: the other one has a front of its own."""
    if kind == "own":
        return f"{one} {'at' if word in ('front', 'back') else 'on'} {other}'s own {word}"
    if kind == "hold":
        return f"{one} {word} {other}"
    directly = "directly " if kind == "view" else ""
    return f"{one} {directly}{word} {other}{' from the viewer' if fronted else ''}"


def _flipped(kind: str, one: str, word: str, other: Placed, *, other_name: str) -> Phrase:
    """The phrase, and the one with the word that is true where this one is not."""
    if kind == "hold":
        first, second = HOLDERS[other.solid.shape]
        wrong = second if word == first else first
    else:
        wrong = CONVERSE[word]
    fronted = other.solid.shape in FRONTED
    text, flipped = (phrase(kind, one, w, other_name, fronted=fronted) for w in (word, wrong))
    return Phrase(text, flipped)


def _of_pair(rng: Random, kind: str, version: Version, the: str) -> Phrase:
    """The relation of the two; what is seen from the viewer is told from either side."""
    one, word, other = version.pairs[0]
    if kind == "view" and below(rng, 2):
        one, word, other = other, CONVERSE[word], one
    name = article(other.solid.name)
    return _flipped(kind, article(one.solid.name), word, other, other_name=name)


def _given(rng: Random, layout: Layout, version: Version) -> dict[Placed, Phrase]:
    """Names of the things that the scene is about."""
    given: dict[Placed, Phrase] = {}
    single = len(version.pairs) == 1
    for one, word, other in version.pairs:
        name = f"the {other.solid.name}" if single else article(other.solid.name)
        me = f"the {one.solid.name}"
        given[one] = _flipped(layout.kind, me, word, other, other_name=name)
        if single and layout.kind == "view":
            its = f"the {other.solid.name}"
            given[other] = _flipped("view", its, CONVERSE[word], one, other_name=me)
    count = len(layout.crowd)
    told = [(w, found) for w in ENDS[: count - 1] if (found := ends(layout.crowd, w))]
    if count:
        words, both = one_of(rng, told)
        kind = f"of the {NUMBERS[count]} {plural(both[0].solid.name)}"
        texts = [f"the {OF_TWO[w] if count == 2 else w} {kind}" for w in words]
        given |= {both[0]: Phrase(*texts), both[1]: Phrase(*texts[::-1])}
    return given


def relational_name(rng: Random, version: Version, words: Words, thing: Placed) -> Phrase | None:
    """True of `thing` alone; its flipped form is not true of it. None where no relation serves."""
    if thing in words.given:
        return words.given[thing]
    things = version.things
    names = [t.solid.name for t in things]
    if names.count(thing.solid.name) > 1:
        return None
    others = [t for t in things if t is not thing and names.count(t.solid.name) == 1]
    for other in shuffled(rng, others):
        word = _relation(thing, other)
        if word:
            the, name = f"the {thing.solid.name}", f"the {other.solid.name}"
            return _flipped("far", the, word, other, other_name=name)
    return None


def _relation(a: Placed, b: Placed) -> str | None:
    """By side, of two things anywhere. Not by distance: large things stand farther away, as they
    hide more, so the words alone would tell."""
    return None if a.holder is b or b.holder is a else aside(a, b)


def _statements(rng: Random, things: Sequence[Placed], names: list[str]) -> list[Phrase]:
    """What is true of some two things of which each has a name of its own."""
    single = [thing for thing in things if names.count(thing.solid.name) == 1]
    found = []
    for _ in range(STATED if len(single) > 1 else 0):
        a, b = shuffled(rng, single)[:2]
        word = _relation(a, b)
        if word:
            name = article(b.solid.name)
            found.append(_flipped("far", article(a.solid.name), word, b, other_name=name))
    return list(dict.fromkeys(found))


def _captions(
    rng: Random, names: list[str], stated: Sequence[Phrase], given: dict[Placed, Phrase]
) -> list[str]:
    """Lists of things and statements of relations."""
    kinds = shuffled(rng, list(dict.fromkeys(names)))
    groups = [counted(name, names.count(name)) for name in kinds]
    everything = joined(groups)
    told = [phrase.text for phrase in stated] or [one_of(rng, list(given.values())).text]
    captions = [told[0], everything, f"{joined(groups[:2])}; {told[-1]}"]
    captions += [f"{told[0]}; {groups[-1]}"]
    return list(dict.fromkeys(captions))[: 2 + below(rng, 3)]
