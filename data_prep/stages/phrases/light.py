"""Noun phrases of captions from lists of words and rules of form, without any model.

Every word gets a part in the phrase that is being read (`_part`); one that has none ends it. The
lists are those of `stages/words/`; a word on none of them is a noun.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from cloc.data.record import Record
from data_prep.stage import Notes
from data_prep.stages.phrases.common import (
    ARTICLES,
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

OWN_LISTS = (
    "adjective_nouns",
    "adverbs",
    "animates",
    "auxiliaries",
    "conjunctions",
    "ed_nouns",
    "ing_either",
    "ing_nouns",
    "ly_words",
    "numbers",
    "plurals",
    "prepositions",
    "pronouns",
    "verb_forms",
    "verb_nouns",
    "verbs",
)
_TOKEN = re.compile(r"[^\W_]+(?:['’\-/&.][^\W_]+)*(?:['’](?=\s))?|[^\w\s]")
_ADJECTIVE = re.compile(r".{3,}(?:ous|less|shaped|sized|like|style|colou?red)|.{3,}[^hm]ful")
_NUMBER = re.compile(r"\d[\d.,]*")
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
        words = [word.replace("’", "'") for word in _TOKEN.findall(caption.lower())]
        return phrases_of(words, list(chunks(words)), articles=self.articles)

    def describe(self) -> dict[str, Any]:
        return {
            "version": 1,
            "extractor": "light",
            "at_most": self.at_most,
            "articles": self.articles,
            "words": lists_digest(*LISTS, *OWN_LISTS),
        }


class _Verbs(NamedTuple):
    base: frozenset[str]
    third: frozenset[str]  # "holds"
    past: frozenset[str]  # and participles


@cache
def _verbs() -> _Verbs:
    bases = word_list("verbs")
    third = {f"{verb[:-1]}ies" if re.search("[^aeo]y$", verb) else f"{verb}s" for verb in bases}
    third |= {f"{verb}es" for verb in bases if re.search("(s|x|z|ch|sh|o)$", verb)}
    return _Verbs(bases, frozenset(third), word_list("verb_forms"))


def chunks(words: Sequence[str]) -> Iterator[Chunk]:
    """Base noun phrases of a caption of lower-case words and punctuation marks, in order."""
    at = 0
    while at < len(words):
        end, noun = _read(words, at)
        if noun is not None:
            yield Chunk(at, noun + 1)
            after = _word(words, end)
            if after in _verbs().base | _verbs().third or _is_ing(after):
                end += 1  # it ended the phrase as a verb, and begins none
        at = max(end, at + 1)


def _read(words: Sequence[str], start: int) -> tuple[int, int | None]:
    """Where the phrase from `start` on ends, and its last noun; None where it has none."""
    state, noun, at = _OPEN, None, start
    while at < len(words):
        part = _part(words, at, state, start)
        if not part:
            break
        if part == "noun":
            state, noun = _NOUN, at
        elif state == _OPEN:
            state = _BEFORE
        at += 1
    if noun is None and at > start and words[at - 1] in word_list("adjective_nouns"):
        noun = at - 1
    return at, noun


def _part(words: Sequence[str], at: int, state: int, start: int) -> str:
    """"before" (determiner, number, adjective) or "noun"; "" ends the phrase."""
    word = words[at]
    if not any(map(str.isalnum, word)) or word in ("and", "or"):
        return "before" if state == _BEFORE and _joins_adjectives(words, at, start) else ""
    if word == "can" and state == _BEFORE:
        return "noun"
    if word in ARTICLES or word in word_list("determiners"):
        return _determiner(words, at, state, start)
    if word in word_list("numbers") or _NUMBER.fullmatch(word):
        return _number(words, at, state)
    if _is_adjective(word):
        return _adjective(words, at, state)
    if _is_closed(word):
        return "before" if _qualifies(words, at, state) else ""
    return _verb_or_noun(words, at, state)


def _is_closed(word: str) -> bool:
    """A word that no noun phrase goes on with."""
    names = ("auxiliaries", "prepositions", "conjunctions", "pronouns", "adverbs")
    return any(word in word_list(name) for name in names) or _is_ly(word)


def _is_ly(word: str) -> bool:
    return word.endswith("ly") and len(word) > 4 and word not in word_list("ly_words")


def _is_adjective(word: str) -> bool:
    if word in word_list("adjectives"):
        return True
    hyphenated = "-" in word and word.endswith(("ed", "ing", "en", "ic", "old"))
    return hyphenated or bool(_ADJECTIVE.fullmatch(word))


def _joins_adjectives(words: Sequence[str], at: int, start: int) -> bool:
    """The "and" of "black and white", the comma of "a dark, cluttered room"."""
    after = at + 1
    if words[at] == "," and _word(words, after) in ("and", "or"):
        after += 1
    if words[at] not in (",", "and", "or") or not (_is_adjective(words[at - 1]) or _is_past(words[at - 1])):
        return words[at] in ("and", "or") and words[at - 1] == ","
    following = _word(words, after)
    return _is_adjective(following) or _is_past(following)


def _determiner(words: Sequence[str], at: int, state: int, start: int) -> str:
    """Also after others of its kind ("all the"); "that" is one before a noun only."""
    after = _word(words, at + 1)
    if words[at] == "that" and (_is_closed(after) or after in _verbs().base | _verbs().third):
        return ""
    if state == _BEFORE:
        kin = all(w in ARTICLES or w in word_list("determiners") for w in words[start:at])
        return "before" if kin else ""
    return "before" if state == _OPEN else ""


def _number(words: Sequence[str], at: int, state: int) -> str:
    if state != _NOUN:
        return "before"
    return "noun" if words[at].isdigit() else ""  # "route 66"


def _adjective(words: Sequence[str], at: int, state: int) -> str:
    """After a noun it says something of it ("a car full of"), unless it can be a noun itself."""
    word, both = words[at], words[at] in word_list("adjective_nouns")
    if state == _NOUN:
        return "noun" if both else ""
    if state == _OPEN and word in word_list("adverbs") and not _goes_on(words, at + 1):
        return ""
    return "before"


def _qualifies(words: Sequence[str], at: int, state: int) -> bool:
    """An adverb before an adjective: "a very busy street", "a dimly lit bedroom"."""
    word = words[at]
    if state == _NOUN or not (word in word_list("adverbs") or _is_ly(word)):
        return False
    after = _word(words, at + 1)
    if state == _BEFORE and (after in word_list("adverbs") or _is_ly(after)):
        return _qualifies(words, at + 1, state)
    described = _is_adjective(after) or _is_past(after) or _is_ing(after)
    return described and _goes_on(words, at + 2) and (state == _BEFORE or _is_adjective(after))


def _is_past(word: str) -> bool:
    regular = word.endswith("ed") and len(word) > 3 and word not in word_list("ed_nouns")
    return regular or word in _verbs().past


def _is_ing(word: str) -> bool:
    singular = word.removesuffix("s")
    return word.endswith("ing") and len(word) > 4 and singular not in word_list("ing_nouns")


def _goes_on(words: Sequence[str], at: int) -> bool:
    """Whether the word can stand inside a phrase that has begun."""
    word = _word(words, at)
    closed = not word or not any(map(str.isalnum, word)) or _is_closed(word)
    return not closed and word not in ARTICLES and word not in word_list("determiners")


def _verb_or_noun(words: Sequence[str], at: int, state: int) -> str:
    word = words[at]
    if word.endswith("ing") and _word(words, at - 1) in word_list("auxiliaries"):
        return ""
    if _is_ing(word):
        return _ing(words, at, state)
    if _is_past(word) and word not in _verbs().base:
        return _past(words, at, state)
    if word in _verbs().third:
        return "" if _is_third(words, at, state) else "noun"
    if word in _verbs().base:
        return "" if _is_base(words, at, state) else "noun"
    return "noun"


def _ing(words: Sequence[str], at: int, state: int) -> str:
    """ "a sleeping cat", "a large gathering" and "a parking meter", but "a man holding a cup"."""
    word, goes_on = words[at], _goes_on(words, at + 1)
    if state == _BEFORE and words[at - 1] not in ("all", "both", "each"):
        return "before" if goes_on else "noun"
    if word in word_list("ing_either") and goes_on:
        return ("" if _acts(words[at - 1]) else "noun") if state == _NOUN else "before"
    is_thing = state == _OPEN and not goes_on and _word(words, at - 1) in ("with", "of")
    return "noun" if is_thing else ""  # "with tubing around it"


def _past(words: Sequence[str], at: int, state: int) -> str:
    """ "a parked car" and "a tree lined street", but "a car parked here"."""
    if not _goes_on(words, at + 1):
        return ""
    if state == _NOUN:
        after = words[at + 1]
        verb = _is_ing(after) and after not in word_list("ing_either")
        alone = verb or _is_adjective(after) or _acts(words[at - 1])
        return "" if alone else "noun"
    return "before" if state == _BEFORE or _begins(words, at) else ""


def _acts(word: str) -> bool:
    """A noun that a verb is likely to follow."""
    return word in word_list("animates") or _is_plural(word)


def _begins(words: Sequence[str], at: int) -> bool:
    """At the beginning of a clause or after a preposition, where a phrase is due."""
    before = _word(words, at - 1)
    is_mark = not any(map(str.isalnum, before))
    return is_mark or before in _PHRASE_DUE or _is_ing(before)


_PHRASE_DUE = frozenset("with of in on by at from under near behind between for and beside".split())


def _is_third(words: Sequence[str], at: int, state: int) -> bool:
    """ "a man cuts bread" and "that sits on", but "two slices" and "in the stands"."""
    word, before, after = words[at], _word(words, at - 1), _word(words, at + 1)
    either = not word_list("verb_nouns").isdisjoint((word[:-1], word[:-2]))
    if state == _BEFORE:
        return before in word_list("adjective_nouns") and not either  # "in leather poses on"
    if state == _OPEN:
        return not either if before == "and" else not _begins(words, at)
    if before in word_list("animates") and after != "of":
        return True
    object_follows = _takes_object(after) or _is_adjective(after)
    return not either or (object_follows and not _is_plural(before))


def _is_base(words: Sequence[str], at: int, state: int) -> bool:
    """ "people eat", "to serve" and "they play", but "a bus stop"."""
    before = _word(words, at - 1)
    if state == _BEFORE:
        return False
    if state == _NOUN:
        return _is_plural(before) and before != "glasses"
    if before == "and" and words[at] not in word_list("verb_nouns"):
        return _takes_object(_word(words, at + 1))
    after = before in word_list("auxiliaries") or before in word_list("pronouns")
    return after or before in ("to", "that", "who", "which") or before in word_list("adverbs")


def _takes_object(after: str) -> bool:
    """What stands behind a verb: a determiner, a number, a preposition or an adverb."""
    names = ("determiners", "numbers", "prepositions", "adverbs", "pronouns")
    return after in (*ARTICLES, "next") or any(after in word_list(n) for n in names) or _is_ly(after)


def _is_plural(word: str) -> bool:
    ends = word.endswith("s") and not word.endswith(("ss", "us", "'s", "is"))
    return ends or word in word_list("plurals")


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if 0 <= at < len(words) else ""
