"""All three extractors find the phrases that were decided by hand (see conftest.py for what the
models of the tests show and what they do not)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.stages.phrases.common import Found
from data_prep.stages.phrases.light import LightPhrases
from data_prep.stages.phrases.nltk import NltkPhrases
from data_prep.stages.phrases.spacy_chunks import SpacyPhrases

from .conftest import normalised, table, tagged

PAPER_DIFFERS = {"of", "number", "and", "adverb", "possessive", "place"}


def wrong(extract: Callable[[str], list[Found]], expected: str) -> dict[str, tuple[list[str], ...]]:
    """Caption -> what was found and what should be, where they differ."""
    found = {}
    for entry in table():
        phrases = [f.text for f in extract(entry["caption"]) if not f.reason]
        want = entry.get(expected, entry["phrases"])
        if normalised(phrases) != want:
            found[entry["caption"]] = (normalised(phrases), want)
    return found


def test_light():
    assert wrong(LightPhrases().phrases, "phrases") == {}


def test_spacy(spacy_folder: Path):
    assert wrong(SpacyPhrases(model=str(spacy_folder)).phrases, "phrases") == {}


def test_nltk(nltk_data: Path):
    """Where the paper's grammar must find something else, the table says `paper`, and why."""
    assert wrong(NltkPhrases().phrases, "paper") == {}


def test_the_table_is_sound():
    entries = table()
    assert len(entries) >= 40
    assert {e["style"] for e in entries} == {"coco", "alt-text", "vlm"}
    for entry in entries:
        assert normalised(entry["phrases"]) == entry["phrases"]
        assert set(entry.get("why", ())) <= PAPER_DIFFERS
        assert ("paper" in entry) == ("why" in entry)
        assert entry.get("paper") != entry["phrases"]
        joined = "".join(word.text for word in tagged(entry))
        assert joined == entry["caption"].replace(" ", "")
    assert sum("paper" not in entry for entry in entries) >= 20  # found alike by all three


def test_a_coco_caption_of_the_table():
    """The captions of style "coco" are the annotators' own words, mistakes in case included."""
    assert table()[0]["caption"] == "A bird holding a piece of fruit while perched on a tree."


@pytest.mark.parametrize("articles", [True, False])
def test_articles_are_kept_or_stripped_by_both(articles: bool, spacy_folder: Path):
    caption = "A boy in a white t-shirt performs a skateboarding trick."
    light = LightPhrases(articles=articles)
    chunks = SpacyPhrases(model=str(spacy_folder), articles=articles)
    expected = ["boy", "white t-shirt", "skateboarding trick"]
    for stage in (light, chunks):
        found = [f.text for f in stage.phrases(caption)]
        assert found == ([f"a {text}" for text in expected] if articles else expected)
