"""Hard negatives of region texts: one word or relation swapped, and never true of the image."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from random import Random
from typing import Any, NamedTuple

from cloc.data.samples.record import Record, Region
from cloc.data.samples.validate import MAX_NEGATIVES, is_phrase
from cloc.errors import UserError
from data_prep.articles import ARTICLES, article
from data_prep.stage import PHRASES, Notes
from data_prep.stages.negatives.vocabulary import (
    WORD,
    Entry,
    Words,
    digest,
    entries,
    longest,
    same_text,
    same_words,
)

DESCRIBE = ("colour", "size", "material", "texture", "attribute", "count")  # kinds before a noun
_NO_NOUN = frozenset("of on in at by with and or to from for near is are was were that".split())
_PLACES = frozenset("left right top side back front other".split())


class Swapped(NamedTuple):
    """A text in which one thing was swapped."""

    text: str
    kind: str
    new: Words  # what was put in, as `same_words`
    converse: Words = ()  # of a relation: the same said from the other side, as `same_words`


class RuleNegatives:
    """Up to `at_most` texts in `Region.negatives`: an attribute, a count, a relation or a noun is
    swapped by the lists of `words/swaps.txt`.

    None says, up to articles, the plural and synonyms, what a text of the same image says (of any
    region, so of those that overlap, of `meta["phrases"]`, of the captions), a part of it, or it
    and more. Negatives a region has are kept and count. The choice depends on `seed`, the key of
    the record and the text alone.
    """

    name = "negatives"

    def __init__(self, *, at_most: int = 4, seed: int = 0) -> None:
        if not 1 <= at_most <= MAX_NEGATIVES:
            raise UserError(f"at_most={at_most} negatives of a region; give 1 to {MAX_NEGATIVES}")
        self.at_most = at_most
        self.seed = seed

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        return [self._with_negatives(record) for record in records]

    def describe(self) -> dict[str, Any]:
        return {
            "version": 2,
            "by": "rules",
            "at_most": self.at_most,
            "seed": self.seed,
            "words": digest(),
        }

    def _with_negatives(self, record: Record) -> Record:
        truth = Truth(record)
        regions = (
            replace(region, negatives=self._negatives(record.key, region, truth))
            for region in record.regions
        )
        return replace(record, regions=tuple(regions))

    def _negatives(self, key: str, region: Region, truth: "Truth") -> tuple[str, ...]:
        kept = list(region.negatives)
        said = {same_text(text) for text in kept}
        for found in _in_turn(swaps(region.text), f"{self.seed}\0{key}\0{region.text}"):
            if len(kept) >= self.at_most:
                break
            same = same_text(found.text)
            if same not in said and is_phrase(found.text) and not truth.admits(found):
                said.add(same)
                kept.append(found.text)
        return tuple(kept)


class Truth:
    """All that is said of one image."""

    def __init__(self, record: Record) -> None:
        phrases = [text for text in record.meta.get(PHRASES, ()) if isinstance(text, str)]
        texts = chain.from_iterable((r.text, r.label) for r in record.regions)
        self.short = [same_text(text) for text in dict.fromkeys([*texts, *phrases]) if text]
        self.captions = [same_text(caption.text) for caption in record.captions]
        self.regions = [set(same_text(f"{r.text} {r.label}")) for r in record.regions]

    def admits(self, swapped: Swapped) -> bool:
        """Whether it may be true: a text says it, says more, or says a part that was put in."""
        words = same_text(swapped.text)
        whole = [words, swapped.converse] if swapped.converse else [words]
        if any(_within(part, told) for told in (*self.captions, *self.short) for part in whole):
            return True
        if swapped.kind == "relation":  # the order of its words matters
            return any(_within(t, words) and _within(swapped.new, t) for t in self.short)
        if swapped.kind == "count" and self._are_there(words, swapped.new):
            return True
        said, new = set(words), set(swapped.new)
        return any(
            (said.issuperset(told) and not new.isdisjoint(told)) or said.issubset(told)
            for told in self.short
        )

    def _are_there(self, words: Words, number: Words) -> bool:
        """Whether as many regions, or more, are of what is counted."""
        counted = set(words).difference(number)
        return sum(counted <= told for told in self.regions) >= int(number[0])


def swaps(text: str) -> Iterator[Swapped]:
    """Every text with one entry of the lists swapped, articles mended, from left to right."""
    spots = list(WORD.finditer(text))
    words = [spot.group().lower() for spot in spots]
    at = 0
    while at < len(words):
        length = _match(words, at)
        for entry in entries().get(tuple(words[at : at + length]), ()):
            if _applies(entry, words, at, at + length):
                yield from _swapped(text, spots, entry, at, at + length)
        at += max(length, 1)


def _match(words: Sequence[str], at: int) -> int:
    """Words of the longest entry that stands at this place; 0 for none."""
    lengths = range(min(longest(), len(words) - at), 0, -1)
    return next((n for n in lengths if tuple(words[at : at + n]) in entries()), 0)


def _applies(entry: Entry, words: Sequence[str], start: int, end: int) -> bool:
    """An adjective before its noun, a relation between two things, a noun that is no adjective."""
    described = end < len(words) and words[end] not in _NO_NOUN
    if entry.kind in DESCRIBE:
        return described
    if entry.kind == "relation":
        between = 0 < start and end < len(words)
        phrase = words[end : end + 2]
        needs_noun = words[start:end] == ["on"]
        place = not _PLACES.isdisjoint(phrase)
        return between and not (needs_noun and (place or phrase[0] not in ARTICLES))
    adjective = any(e.kind in DESCRIBE for e in entries()[tuple(words[start:end])])
    return not (adjective and described)


def _swapped(
    text: str, spots: Sequence[re.Match[str]], entry: Entry, start: int, end: int
) -> Iterator[Swapped]:
    words = [spot.group() for spot in spots]
    rest = {*same_words(words[:start]), *same_words(words[end:])}
    converse: Words = ()
    if entry.kind == "relation":
        converse = same_words([*words[end:], *words[start:end], *words[:start]])
    for other in entry.others:
        if converse or rest.isdisjoint(same_words(other)):  # no "a cat and a cat"
            before = text[: spots[start].start()]
            new = _cased(" ".join(other), words[start])
            if start and words[start - 1].lower() in ("a", "an"):
                given = spots[start - 1]
                fitting = _cased(article(new), given.group())
                if given.group().isupper() and new.isupper():
                    fitting = fitting.upper()
                before = before[: given.start()] + fitting + before[given.end() :]
            made = before + new + text[spots[end - 1].end() :]
            yield Swapped(made, entry.kind, same_words(other), converse)


def _cased(new: str, old: str) -> str:
    """With a capital, or all of them, where the old one has it."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


def _in_turn(found: Iterator[Swapped], seed: str) -> Iterator[Swapped]:
    """One of each kind in turn, in an order that depends on `seed` alone."""
    rng = Random(int.from_bytes(hashlib.sha256(seed.encode("utf-8", "replace")).digest()))
    kinds: dict[str, list[Swapped]] = {}
    for swapped in found:
        kinds.setdefault(swapped.kind, []).append(swapped)
    groups = list(kinds.values())
    rng.shuffle(groups)
    for group in groups:
        rng.shuffle(group)
    for turn in zip_longest(*groups):
        yield from (swapped for swapped in turn if swapped is not None)


def _within(part: Words, whole: Words) -> bool:
    """Whether the words of `part` stand one after another in `whole`."""
    return any(whole[i : i + len(part)] == part for i in range(len(whole) - len(part) + 1))
