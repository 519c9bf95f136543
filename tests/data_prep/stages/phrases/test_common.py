"""From what an extractor finds to `meta["phrases"]`: once each, in order, capped, drops told."""

from collections.abc import Iterator
from importlib.resources import files

import pytest

from cloc.data.samples.record import Caption, Record
from cloc.data.samples.validate import MAX_PHRASE_CHARS
from cloc.errors import UserError
from data_prep.stage import PHRASES, Notes
from data_prep.stages.phrases.common import Found, lists_digest, with_phrases, word_list
from data_prep.stages.phrases.light import LightPhrases


def record(*captions: str, **meta: object) -> Record:
    return Record("k", b"", "jpg", 9, 9, tuple(Caption(text, "s") for text in captions), meta=meta)


def by_comma(caption: str) -> Iterator[Found]:
    """An extractor whose captions are lists; "!" marks what is of no use."""
    for text in caption.split(", "):
        yield Found(text.strip("!"), "generic" if text.endswith("!") else "")


def test_of_all_captions_once_each_in_order_of_appearance():
    notes = Notes()
    found = with_phrases(record("b, a", "c, a, b, d"), by_comma, at_most=20, notes=notes)
    assert found.meta[PHRASES] == ["b", "a", "c", "d"]
    assert not notes.counts


def test_phrases_that_differ_in_a_leading_article_are_one_in_the_form_that_came_first():
    found = with_phrases(record("the dog, a cat, dog, the cat"), by_comma, at_most=9, notes=Notes())
    assert found.meta[PHRASES] == ["the dog", "a cat"]


def test_the_cap_counts_different_phrases_and_what_is_over_it_is_told():
    notes = Notes()
    found = with_phrases(record("a, a, b, the b, c", "d, c"), by_comma, at_most=2, notes=notes)
    assert found.meta[PHRASES] == ["a", "b"]  # not "a" alone: repeats take no place
    assert notes.counts == {("phrases", "over_the_cap"): 2}
    assert [e.text for e in notes.examples] == ["c", "d"]


def test_what_is_of_no_use_takes_no_place_and_is_told_once():
    notes = Notes()
    found = with_phrases(record("x!, x!, a, b"), by_comma, at_most=2, notes=notes)
    assert found.meta[PHRASES] == ["a", "b"]
    assert notes.counts == {("phrases", "generic"): 1}


def test_a_phrase_that_no_region_could_hold_is_left_out():
    notes = Notes()
    long = "x" * (MAX_PHRASE_CHARS + 1)
    found = with_phrases(record(f"{long}, a"), by_comma, at_most=2, notes=notes)
    assert found.meta[PHRASES] == ["a"]
    assert notes.counts == {("phrases", "too_long"): 1}
    assert len(notes.examples[0].text) == 80


def test_other_meta_and_records_without_captions_stay():
    records = [record(url="u"), record("a dog\x00 and\n a cat", phrases=["old"])]
    found = LightPhrases()(records, Notes())
    assert found[0].meta == {"url": "u", PHRASES: []}
    assert found[1].meta == {PHRASES: ["a dog", "a cat"]}


def test_every_list_is_lower_case_words_once_each_in_order():
    folder = files("data_prep.stages") / "words"
    for file in folder.iterdir():
        if file.name.endswith(".txt") and file.name not in ("swaps.txt", "synonyms.txt"):
            text = file.read_text(encoding="utf-8")
            assert text.split() == sorted(set(text.lower().split())), file.name
            assert text.endswith("\n")


def test_the_lists_of_the_paper_are_whole():
    """OWL-ST's (arXiv 2306.09683, appendix A.2), which the paper takes over."""
    assert len(word_list("generic")) == 61
    assert len(word_list("stop")) == 127
    assert {"alibaba", "background", "picclick", "youtube"} <= word_list("generic")


def test_an_edited_list_is_another_answer(monkeypatch: pytest.MonkeyPatch):
    before = lists_digest("stop")
    monkeypatch.setattr("data_prep.stages.phrases.common._text", lambda name: "a\n")
    assert lists_digest("stop") != before


def test_no_phrase_at_all_is_refused():
    with pytest.raises(UserError, match="at_most=0 phrases"):
        LightPhrases(at_most=0)


def test_phrases_of_a_caption_that_nobody_cleaned():
    """Of a shard that was written elsewhere."""
    given = record("<b>red star</b> &amp; blue ring", "a cafÃ© https://x.org/?id=3 by &#39;me&#39;")
    [found] = LightPhrases()([given], Notes())
    assert found.meta[PHRASES] == ["red star", "blue ring", "a café"]
