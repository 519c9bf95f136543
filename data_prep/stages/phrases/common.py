"""What the three extractors share: the lists of words, and phrases that go into a record."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from cloc.data.samples.record import Record
from cloc.data.samples.validate import is_phrase
from cloc.errors import UserError
from data_prep.articles import ARTICLES, without_article
from data_prep.importing import words as one_line
from data_prep.stage import PHRASES, Notes

AT_MOST = 20  # phrases of one record: the paper's `max_num_queries`
LISTS = (
    "adjectives",
    "determiners",
    "generic",
    "measures",
    "places",
    "quantities",
    "stop",
)  # of `phrases_of`


class Found(NamedTuple):
    """A phrase of a caption, lower-case, and why it is of no use ("" where it is)."""

    text: str
    reason: str = ""


class Chunk(NamedTuple):
    """A base noun phrase: words `start` to `end` of a caption, the last of which is its noun."""

    start: int
    end: int


@cache
def word_list(name: str) -> frozenset[str]:
    """The words of `data_prep/stages/words/NAME.txt`, one a line."""
    return frozenset(_text(name).split())


def lists_digest(*names: str) -> str:
    """sha256 over the named lists, for `describe`: an edited list is another answer."""
    return hashlib.sha256("\0".join(map(_text, names)).encode()).hexdigest()


def _text(name: str) -> str:
    return (files("data_prep.stages") / "words" / f"{name}.txt").read_text(encoding="utf-8")


def check_at_most(at_most: int) -> None:
    if at_most < 1:
        raise UserError(f"at_most={at_most} phrases of a record; give 1 or more")


def with_phrases(
    record: Record,
    extract: Callable[[str], Iterable[Found]],
    *,
    at_most: int,
    notes: Notes,
) -> Record:
    """The record with `meta["phrases"]`: of all its captions, in order of appearance.

    Phrases that differ in a leading article only are one, in the form that came first. The first
    `at_most` different ones stay; those after them are told as "over_the_cap".
    """
    kept: dict[str, str] = {}
    dropped: set[tuple[str, str]] = set()
    for text, reason in _found(record, extract):
        same = without_article(text)
        if not reason and same in kept:
            continue
        if not reason and len(kept) >= at_most:
            reason = "over_the_cap"
        if not reason:
            kept[same] = text
        elif (same, reason) not in dropped:
            notes.phrase(record, reason, text)
            dropped.add((same, reason))
    return replace(record, meta={**record.meta, PHRASES: list(kept.values())})


def _found(record: Record, extract: Callable[[str], Iterable[Found]]) -> Iterator[Found]:
    for caption in record.captions:
        for found in extract(one_line(caption.text)):
            too_long = not found.reason and not is_phrase(found.text)
            yield Found(found.text[:80], "too_long") if too_long else found


def phrases_of(words: Sequence[str], chunks: Sequence[Chunk], *, articles: bool) -> Iterator[Found]:
    """Base noun phrases of a caption of lower-case words, finished.

    "a glass" + of + "wine" is one phrase, of "a couple" + of + "kids" only the kids are.
    """
    left = list(chunks)
    while left:
        first = left.pop(0)
        follows = bool(left) and words[first.end : left[0].start] == ["of"]
        head = words[first.end - 1]
        if follows and head in word_list("quantities"):
            continue
        if follows and head in word_list("measures"):
            second = left.pop(0)
            heads = [first.end - 1, second.end - 1]
            yield _finished(words, first.start, second.end, heads, articles)
        else:
            yield _finished(words, first.start, first.end, [first.end - 1], articles)


def is_generic(word: str) -> bool:
    """Also a file's name and an address, by a part of them ("2034.jpg", "www.example.org")."""
    return not word_list("generic").isdisjoint((word, *word.replace("/", ".").split(".")))


def _finished(
    words: Sequence[str], start: int, end: int, heads: Sequence[int], articles: bool
) -> Found:
    """Determiners before the phrase go (articles only where asked), generic words anywhere.

    Of no use: a phrase named by a generic word or by a place in the picture ("the left side"), and
    what is said not to be there ("no people", but "no parking sign").
    """
    whole = " ".join(words[start:end])
    if words[start] == "no" and words[heads[0]] not in ("sign", "signs"):
        return Found(whole, "absent")
    unwanted = word_list("determiners") if articles else word_list("determiners").union(ARTICLES)
    while start < heads[0] and words[start] in unwanted:
        start += 1
    kept = [w for w in words[start:end] if not is_generic(w) and any(map(str.isalnum, w))]
    if any(is_generic(words[head]) for head in heads):
        return Found(whole, "generic")
    if _is_place(words[start : heads[0] + 1]):
        return Found(whole, "place")
    if word_list("stop").issuperset(kept):
        return Found(whole, "stop_words")
    return Found(" ".join(kept))


def _is_place(words: Sequence[str]) -> bool:
    """ "the left side", "an aerial view"; but not "a parking lot", "a counter top"."""
    other = word_list("adjectives").union(word_list("places"), ARTICLES)
    return words[-1] in word_list("places") and other.issuperset(words)
