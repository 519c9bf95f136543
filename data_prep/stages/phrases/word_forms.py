"""What single words of a caption are, by lists and by their ends."""

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from data_prep.articles import ARTICLES
from data_prep.stages.phrases.common import word_list

WORD_LISTS = (
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
_NUMBER = re.compile(r"\d[\d.,]*")
_ADJECTIVE = re.compile(r".{3,}(?:ous|less|shaped|sized|like|style|colou?red)|.{3,}[^hm]ful")
_PHRASE_DUE = frozenset("with of in on by at from under near behind between for and beside".split())


class Verbs(NamedTuple):
    base: frozenset[str]
    third: frozenset[str]  # "holds"
    finite: frozenset[str]  # either
    past: frozenset[str]  # and participles


@cache
def verbs() -> Verbs:
    bases = word_list("verbs")
    third = {f"{verb[:-1]}ies" if re.search("[^aeo]y$", verb) else f"{verb}s" for verb in bases}
    third |= {f"{verb}es" for verb in bases if re.search("(s|x|z|ch|sh|o)$", verb)}
    return Verbs(bases, frozenset(third), bases | third, word_list("verb_forms"))


def is_determiner(word: str) -> bool:
    return word in ARTICLES or word in word_list("determiners")


def is_number(word: str) -> bool:
    return word in word_list("numbers") or bool(_NUMBER.fullmatch(word))


def is_closed(word: str) -> bool:
    """A word that no noun phrase goes on with."""
    names = ("auxiliaries", "prepositions", "conjunctions", "pronouns", "adverbs")
    return any(word in word_list(name) for name in names) or is_ly(word)


def is_adverb(word: str) -> bool:
    return word in word_list("adverbs") or is_ly(word)


def is_ly(word: str) -> bool:
    return word.endswith("ly") and len(word) > 4 and word not in word_list("ly_words")


def is_adjective(word: str) -> bool:
    if word in word_list("adjectives"):
        return True
    hyphenated = "-" in word and word.endswith(("ed", "ing", "en", "ic", "old"))
    return hyphenated or bool(_ADJECTIVE.fullmatch(word))


def is_past(word: str) -> bool:
    regular = word.endswith("ed") and len(word) > 3 and word not in word_list("ed_nouns")
    return regular or word in verbs().past


def is_ing(word: str) -> bool:
    singular = word.removesuffix("s")
    return word.endswith("ing") and len(word) > 4 and singular not in word_list("ing_nouns")


def is_plural(word: str) -> bool:
    ends = word.endswith("s") and not word.endswith(("ss", "us", "'s", "is"))
    return ends or word in word_list("plurals")


def acts(word: str) -> bool:
    """A noun that a verb is likely to follow."""
    return word in word_list("animates") or is_plural(word)


def takes_object(after: str) -> bool:
    """What stands behind a verb: a determiner, a number, a preposition or an adverb."""
    names = ("determiners", "numbers", "prepositions", "adverbs", "pronouns")
    return after in (*ARTICLES, "next") or any(after in word_list(n) for n in names) or is_ly(after)


def begins(words: Sequence[str], at: int) -> bool:
    """At the beginning of a clause or after a preposition, where a phrase is due."""
    before = word_at(words, at - 1)
    is_mark = not any(map(str.isalnum, before))
    return is_mark or before in _PHRASE_DUE or is_ing(before)


def goes_on(words: Sequence[str], at: int) -> bool:
    """Whether the word can stand inside a phrase that has begun."""
    word = word_at(words, at)
    closed = not word or not any(map(str.isalnum, word)) or is_closed(word)
    return not closed and word not in ARTICLES and word not in word_list("determiners")


def owns(words: Sequence[str], at: int) -> bool:
    """The "man's" of "a man's left hand", but not of "a man's wearing a hat"."""
    is_verb = is_ing(word_at(words, at + 1)) and not goes_on(words, at + 2)
    return words[at].endswith(("'s", "'")) and goes_on(words, at + 1) and not is_verb


def word_at(words: Sequence[str], at: int) -> str:
    return words[at] if 0 <= at < len(words) else ""
