"""What may stand in the place of a word, and when two texts say the same."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from cloc.data.samples.text import lines
from data_prep.articles import ARTICLES

Words = tuple[str, ...]

WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_IRREGULAR = {
    "man": "men",
    "woman": "women",
    "person": "people",
    "child": "children",
    "mouse": "mice",
    "goose": "geese",
    "knife": "knives",
    "shelf": "shelves",
    "sheep": "sheep",
    "scarf": "scarves",
    "bus": "buses",
    "calf": "calves",
    "ox": "oxen",
    "leaf": "leaves",
    "wolf": "wolves",
    "loaf": "loaves",
    "foot": "feet",
    "tooth": "teeth",
}
_SINGULAR = {plural: word for word, plural in _IRREGULAR.items()}


class Entry(NamedTuple):
    """Words of a line of `swaps.txt`, and those that may take their place."""

    kind: str
    others: tuple[Words, ...]


@cache
def entries() -> dict[Words, tuple[Entry, ...]]:
    """For every word or group of words what may replace it; nouns in the plural, too."""
    found: dict[Words, list[Entry]] = {}
    listed = [(kind, group, member) for kind, group in _groups() for member in group]
    own = {member for _, _, member in listed}
    for kind, group, member in listed:
        others = tuple(other for other in group if same_words(other) != same_words(member))
        many = tuple(map(_plural, others))
        alike = [] if kind == "relation" else [w for w in _alike(member) if w not in own]
        for words in (member, *alike):
            found.setdefault(words, []).append(Entry(kind, others))
            if kind == "noun":
                found.setdefault(_plural(words), []).append(Entry(kind, many))
    return {words: tuple(given) for words, given in found.items()}


def _groups() -> Iterator[tuple[str, list[Words]]]:
    for line in _lines("swaps"):
        kind, _, rest = line.partition(":")
        yield kind, [tuple(member.split()) for member in rest.split(",")]


def longest() -> int:
    """Words of the longest entry."""
    return max(map(len, entries()))


def digest() -> str:
    """sha256 over the lists, for `describe`."""
    return hashlib.sha256((_text("swaps") + _text("synonyms")).encode()).hexdigest()


def same_words(words: Iterable[str]) -> Words:
    """Lower-case, nouns in the singular, no articles, the first of synonyms: equal for texts that
    differ in those only."""
    left = [singular(word.lower()) for word in words if word.lower() not in ARTICLES]
    found: list[str] = []
    while left:
        for length in range(min(len(left), _LONGEST), 0, -1):
            known = _synonyms().get(tuple(left[:length]))
            if known or length == 1:
                found += known or left[:1]
                del left[:length]
                break
    return tuple(found)


def same_text(text: str) -> Words:
    return same_words(WORD.findall(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")))


def singular(word: str) -> str:
    """Of a lower-case word, for comparison: not its owner's "'s", and "-y" for "-ie"."""
    word = word.removesuffix("'s")
    if word.endswith("ie"):
        return word[:-2] + "y"
    if word in _SINGULAR:
        return _SINGULAR[word]
    if not word.endswith("s") or word.endswith(("ss", "us", "is")) or len(word) < 4:
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("ches", "shes", "xes", "sses", "toes")) else word[:-1]


def _plural(words: Words) -> Words:
    last = words[-1]
    if last in _IRREGULAR:
        many = _IRREGULAR[last]
    elif re.search("[^aeiou]y$", last):
        many = f"{last[:-1]}ies"
    else:
        many = f"{last}es" if re.search("(s|x|z|ch|sh|[^aeiou]o)$", last) else f"{last}s"
    return (*words[:-1], many)


def _alike(member: Words) -> list[Words]:
    """Synonyms of a word, itself apart."""
    line = same_words(member)
    return [words for words, first in _synonyms().items() if first == line and words != member]


_LONGEST = 4  # words of a synonym


@cache
def _synonyms() -> dict[Words, Words]:
    found: dict[Words, Words] = {}
    for line in _lines("synonyms"):
        group = [_bare(member.split()) for member in line.split(",")]
        for words in group:
            assert words not in found, words
            assert len(words) <= _LONGEST, words
            found[words] = group[0]
    return found


def _bare(words: Sequence[str]) -> Words:
    return tuple(singular(word) for word in words if word not in ARTICLES)


def _lines(name: str) -> Iterator[str]:
    for line in lines(_text(name)):
        if line and not line.startswith("#"):
            yield line


def _text(name: str) -> str:
    return (files("data_prep.stages") / "words" / f"{name}.txt").read_text(encoding="utf-8")
