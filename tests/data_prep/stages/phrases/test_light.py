"""The extractor without a model: rules one by one, and the captions of scenes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloc.scenes.generate import composed
from cloc.scenes.kinds import article, plural
from data_prep.stage import PHRASES, Notes
from data_prep.stages.phrases.common import LISTS, word_list
from data_prep.stages.phrases.light import LightPhrases
from data_prep.stages.phrases.word_forms import WORD_LISTS

CASES = {
    # verbs end a phrase and begin none
    "a woman dressed in leather poses on a motorcycle": ["a woman", "leather", "a motorcycle"],
    "a man is cutting fruit": ["a man", "fruit"],
    "men playing frisbee": ["men", "frisbee"],
    "a man named anna and two men stand": ["a man", "anna", "two men"],
    "food and drinks on a tray": ["food", "drinks", "a tray"],
    "a dog that looks like a wolf": ["a dog", "a wolf"],
    "a man, dressed in a suit, walks down a street": ["a man", "a suit", "a street"],
    "a dog that's wet; the man's wearing a hat": ["a dog", "the man's", "a hat"],
    # the same words as nouns and before nouns
    "a crowd in the stands": ["a crowd", "the stands"],
    "a coin operated parking meter": ["a coin operated parking meter"],
    "a tree lined street": ["a tree lined street"],
    "a bus stop": ["a bus stop"],
    "a red square right of a blue ring": ["a red square", "a blue ring"],
    "a large gathering at a table": ["a large gathering", "a table"],
    "holding slices of pizza": ["slices of pizza"],
    "the man's left hand": ["the man's left hand"],
    "a 3-year-old's 2 red cars": ["a 3-year-old's 2 red cars"],
    # -ly without being an adverb
    "a big burly grizzly bear": ["a big burly grizzly bear"],
    "a lively town is hilly": ["a lively town"],
    # adjectives joined
    "a red, white, and blue flag": ["a red white and blue flag"],
    "a boy and girl": ["a boy", "girl"],
    "the wall is red and white": ["the wall"],
    # "of"
    "lots of trees and a variety of fruits": ["trees", "fruits"],
    "the roof of a house": ["the roof", "a house"],
    "a can of soup": ["a can of soup"],
    # determiners, numbers, places
    "all of their other dogs": ["dogs"],
    "7 people and one of them": ["7 people"],
    "a parking lot on the left side": ["a parking lot"],
    "a pink wallpaper": [],
    "there are no people and no red cars in a park": ["a park"],
    "no parking sign on a wall": ["parking sign", "a wall"],
    "a detailed photograph of a dog": ["a dog"],
    "2034.jpg www.example.org/cat and a T.V.": ["a t.v"],
    "a mug w/ flowers": ["a mug", "flowers"],
    # form
    "A MAN\u2019S T-SHIRT": ["a man's t-shirt"],
    "": [],
    "!?": [],
    "a very, very old dog": ["very old dog"],
    "a " + "very " * 2000 + "old dog": ["very old dog"],
}


@pytest.mark.parametrize("caption", CASES, ids=lambda caption: caption[:40])
def test_rules(caption: str):
    found = [f.text for f in LightPhrases().phrases(caption) if not f.reason]
    assert found == CASES[caption]


def test_reasons():
    caption = "A stock photo of a dog on the left side"
    found = [tuple(f) for f in LightPhrases().phrases(caption)]
    assert found == [
        ("a stock photo", "generic"),
        ("a dog", ""),
        ("the left side", "place"),
    ]


def test_captions_of_scenes_give_their_objects():
    """Of what 200 scenes say of each object (its full name, its class, its class in the plural),
    all is found; what no caption says is not asked for."""
    mentioned = found = 0
    extract = LightPhrases()
    for index in range(200):
        _, record = composed("train", index, seed=0, size=64, twins=0.4, relational=0.0)
        [told] = extract([record], Notes())
        phrases = told.meta[PHRASES]
        text = " " + " ".join(caption.text for caption in record.captions) + " "
        text = text.replace(",", " ").replace(";", " ").replace("  ", " ")
        for region in record.regions:
            several = plural(region.label)
            for name in (region.text, article(region.label)):
                if f" {name} " in text:
                    mentioned += 1
                    found += name in phrases
            if f" {several} " in text:
                mentioned += 1
                found += any(phrase.endswith(f" {several}") for phrase in phrases)
    print(f"{found} of {mentioned} names of objects found")
    assert mentioned > 1000
    assert found == mentioned


def test_it_depends_on_its_settings_and_lists():
    described = LightPhrases(at_most=5).describe()
    assert json.loads(json.dumps(described)) == described
    assert described != LightPhrases().describe()


WORDS = sorted(set().union(*(word_list(name) for name in {*LISTS, *WORD_LISTS})))
SOUP = st.lists(
    st.sampled_from([*WORDS, "dog", "ünï", "7", ",", ".", "'s", "-", "\u2019", "\u2019s", ";"])
)


@settings(max_examples=50)
@given(st.one_of(SOUP.map(" ".join), st.text(max_size=60)))
def test_any_text_gives_words_of_its_own_in_order(caption: str):
    left = caption.lower().replace("\u2019", "'")
    for found in LightPhrases().phrases(caption):
        assert found.text.strip()
        for word in found.text.split():
            assert word in left
        left = left[left.index(found.text.split()[0]) + 1 :]
