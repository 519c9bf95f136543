"""Noun phrases of captions from lists of words and rules of form, without any model.

Every word has a part in the phrase that is read (`_part`) or ends it; one on no list is a noun.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from cloc.data.samples.record import Record
from data_prep.stage import Notes
from data_prep.stages.phrases.common import (
    AT_MOST,
    LISTS,
    Chunk,
    Found,
    check_at_most,
    lists_digest,
    phrases_of,
    with_phrases,
    word_list,
)
from data_prep.stages.phrases.word_forms import (
    WORD_LISTS,
    acts,
    begins,
    goes_on,
    is_adjective,
    is_adverb,
    is_closed,
    is_determiner,
    is_ing,
    is_number,
    is_past,
    is_plural,
    owns,
    takes_object,
    verbs,
    word_at,
)

_TOKEN = re.compile(r"[^\W_]+(?:['\u2019\-/&.][^\W_]+)*(?:['\u2019](?=\s))?|[^\w\s]")
_OPEN, _BEFORE, _NOUN = range(3)  # no phrase yet; determiner or adjectives; a noun was read


class LightPhrases:
    """`meta["phrases"]` of every record, from all its captions, at most `at_most` of them.

    `articles` keeps a leading a, an or the, as region names of the scenes and of the paper have.
    """

    name = "phrases"

    def __init__(self, *, at_most: int = AT_MOST, articles: bool = True) -> None:
        check_at_most(at_most)
        self.at_most = at_most
        self.articles = articles

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        return [
            with_phrases(record, self.phrases, at_most=self.at_most, notes=notes)
            for record in records
        ]

    def phrases(self, caption: str) -> Iterator[Found]:
        words = _TOKEN.findall(caption.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
        return phrases_of(words, list(chunks(words)), articles=self.articles)

    def describe(self) -> dict[str, Any]:
        return {
            "version": 4,
            "extractor": "light",
            "at_most": self.at_most,
            "articles": self.articles,
            "words": lists_digest(*LISTS, *WORD_LISTS),
        }


def chunks(words: Sequence[str]) -> Iterator[Chunk]:
    """Base noun phrases of a caption of lower-case words and punctuation marks, in order."""
    at = 0
    while at < len(words):
        end, noun = _read(words, at)
        if noun is not None:
            yield Chunk(at, noun + 1)
            after = word_at(words, end)
            if after in verbs().finite or is_ing(after):
                end += 1  # it ended the phrase as a verb, and begins none
        at = max(end, at + 1)


def _read(words: Sequence[str], start: int) -> tuple[int, int | None]:
    """Where the phrase from `start` on ends, and its last noun; None where it has none."""
    state, noun, at = _OPEN, None, start
    while at < len(words):
        part = _part(words, at, state)
        if not part:
            break
        if part == "noun":
            state, noun = _BEFORE if owns(words, at) else _NOUN, at
        elif state == _OPEN:
            state = _BEFORE
        at += 1
    return at, _adjective_as_noun(words, start, at) if noun is None else noun


def _adjective_as_noun(words: Sequence[str], start: int, end: int) -> int | None:
    """The "orange" of "a slice of orange", the "square" of "a red square right of it"."""
    while end > start and words[end - 1] in word_list("places"):
        end -= 1
    return end - 1 if end > start and words[end - 1] in word_list("adjective_nouns") else None


def _part(words: Sequence[str], at: int, state: int) -> str:
    """ "before" (determiner, number, adjective) or "noun"; "" ends the phrase."""
    word = words[at]
    if not any(map(str.isalnum, word)) or word in ("and", "or"):
        return "before" if state == _BEFORE and _joins_adjectives(words, at) else ""
    if word == "can" and state == _BEFORE:
        return "noun"
    for matches, rule in _RULES:
        if matches(word):
            return rule(words, at, state)
    return _verb_or_noun(words, at, state)


def _joins_adjectives(words: Sequence[str], at: int) -> bool:
    """The "and" of "black and white", the comma of "a dark, cluttered room"."""
    if words[at] not in (",", "and", "or"):
        return False
    before, after = at - 1, at + 1
    if words[at] == "," and word_at(words, after) in ("and", "or"):
        after += 1
    if words[at] != "," and words[before] == ",":
        before -= 1
    pair = (words[before], word_at(words, after))
    return all(is_adjective(word) or is_past(word) for word in pair)


def _determiner(words: Sequence[str], at: int, state: int) -> str:
    """Also after others of its kind ("all the"); "that" is one before a noun only."""
    after = word_at(words, at + 1)
    if words[at] == "that" and (is_closed(after) or after in verbs().finite):
        return ""
    follows = state == _BEFORE and is_determiner(words[at - 1])
    return "before" if state == _OPEN or follows else ""


def _number(words: Sequence[str], at: int, state: int) -> str:
    if state != _NOUN:
        return "before"
    return "noun" if words[at].isdigit() else ""  # "route 66"


def _adjective(words: Sequence[str], at: int, state: int) -> str:
    """After a noun it says something of it ("a car full of"), unless it can be a noun itself."""
    word, both = words[at], words[at] in word_list("adjective_nouns")
    if state == _NOUN:
        return "noun" if both else ""
    if state == _OPEN and word in word_list("adverbs") and not goes_on(words, at + 1):
        return ""
    return "before"


def _closed(words: Sequence[str], at: int, state: int) -> str:
    """No part, but for adverbs before an adjective ("a very busy street", "a dimly lit room")."""
    word = words[at]
    if state == _NOUN or not is_adverb(word):
        return ""
    after = at + 1
    while state == _BEFORE and after - at < 4 and is_adverb(word_at(words, after)):
        after += 1
    described = word_at(words, after)
    verbal = state == _BEFORE and (is_past(described) or is_ing(described))
    qualifies = (verbal or is_adjective(described)) and goes_on(words, after + 1)
    return "before" if qualifies else ""


def _verb_or_noun(words: Sequence[str], at: int, state: int) -> str:
    word = words[at]
    if word.endswith("ing") and word_at(words, at - 1) in word_list("auxiliaries"):
        return ""
    if is_ing(word):
        return _ing(words, at, state)
    if is_past(word) and word not in verbs().base:
        return _past(words, at, state)
    if word in verbs().third:
        return "" if _is_third(words, at, state) else "noun"
    if word in verbs().base:
        return "" if _is_base(words, at, state) else "noun"
    return "noun"


def _ing(words: Sequence[str], at: int, state: int) -> str:
    """ "a sleeping cat", "a large gathering" and "a parking meter", but "a man holding a cup"."""
    word, more = words[at], goes_on(words, at + 1)
    if state == _BEFORE and words[at - 1] not in ("all", "both", "each"):
        return "before" if more else "noun"
    if word in word_list("ing_either") and more:
        return ("" if acts(words[at - 1]) else "noun") if state == _NOUN else "before"
    is_thing = state == _OPEN and not more and word_at(words, at - 1) in ("with", "of")
    return "noun" if is_thing else ""  # "with tubing around it"


def _past(words: Sequence[str], at: int, state: int) -> str:
    """ "a parked car" and "a tree lined street", but "a car parked here"."""
    if not goes_on(words, at + 1):
        return ""
    if state == _NOUN:
        after = words[at + 1]
        verb = is_ing(after) and after not in word_list("ing_either")
        alone = verb or is_adjective(after) or acts(words[at - 1])
        return "" if alone else "noun"
    return "before" if state == _BEFORE or begins(words, at) else ""


def _is_third(words: Sequence[str], at: int, state: int) -> bool:
    """ "a man cuts bread", "that sits on", ", walks down", but "two slices", "in the stands"."""
    word, before, after = words[at], word_at(words, at - 1), word_at(words, at + 1)
    either = not word_list("verb_nouns").isdisjoint((word[:-1], word[:-2]))
    if state == _BEFORE:
        return before in word_list("adjective_nouns") and not either  # "in leather poses on"
    if state == _OPEN:
        follows = before == "and" or (before == "," and takes_object(after))
        return not either if follows else not begins(words, at)
    if before in word_list("animates") and after != "of":
        return True
    return not either or ((takes_object(after) or is_adjective(after)) and not is_plural(before))


def _is_base(words: Sequence[str], at: int, state: int) -> bool:
    """ "people eat", "to serve" and "they play", but "a bus stop"."""
    before = word_at(words, at - 1)
    if state == _BEFORE:
        return False
    if state == _NOUN:
        return is_plural(before) and before != "glasses"
    if before == "and" and words[at] not in word_list("verb_nouns"):
        return takes_object(word_at(words, at + 1))
    after = before in word_list("auxiliaries") or before in word_list("pronouns")
    return after or before in ("to", "that", "who", "which") or before in word_list("adverbs")


_RULES = (
    (is_determiner, _determiner),
    (is_number, _number),
    (is_adjective, _adjective),
    (is_closed, _closed),
)
