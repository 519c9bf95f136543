"""Every sentence about a scene is true by its pixels, and every flipped one is false."""

from random import Random

import pytest

from cloc.scenes.words import describe, relational_name
from tests.helpers.scenes import OPPOSITE, SENTENCE, Pixels, make_layouts

COUNT = 120


@pytest.fixture(scope="module")
def told():
    """(layout, its pixels, what is said of it)"""
    rng = Random(3)
    return [(x, Pixels(x), describe(rng, x)) for x in make_layouts(COUNT)]


def test_every_caption_is_true(told):
    heard = set()
    for _, scene, words in told:
        for part in (part for caption in words.captions for part in caption.split("; ")):
            match = SENTENCE.fullmatch(part)
            if match:
                heard.add(match[2])
                assert scene.subjects(part, test=scene.holds), part
            else:
                assert scene.lists_truly(part), part
    assert heard == {*OPPOSITE, "inside"}


def test_2_to_4_captions_all_different_and_at_most_26_words(told):
    assert {len(words.captions) for *_, words in told} == {2, 3, 4}
    for *_, words in told:
        assert len(set(words.captions)) == len(words.captions)
        assert max(len(caption.split()) for caption in words.captions) <= 26


def test_some_caption_names_a_relation_in_nearly_every_scene(told):
    related = [any(SENTENCE.search(c) for c in words.captions) for *_, words in told]
    assert sum(related) / len(told) > 0.95


def test_the_relation_is_true_of_one_pair_and_its_flipped_form_of_none(told):
    relations = [(scene, words.relation) for _, scene, words in told if words.relation]
    assert len(relations) > 0.7 * len(told)
    for scene, (text, flipped) in relations:
        noun, relation, other = SENTENCE.fullmatch(text).groups()
        assert len(scene.matches(noun)) == len(scene.matches(other)) == 1
        assert scene.subjects(text, test=scene.holds)
        assert flipped == text.replace(relation, OPPOSITE[relation])
        assert not scene.subjects(flipped, test=scene.may_hold)


def test_relations_of_the_benchmark_use_every_word_that_flips(told):
    used = [SENTENCE.fullmatch(w.relation.text)[2] for *_, w in told if w.relation]
    assert set(used) == set(OPPOSITE)


def test_a_twin_phrase_is_true_of_its_twin_alone_and_flipped_false_of_it(told):
    with_twins = [(layout, scene, words) for layout, scene, words in told if layout.twins]
    assert len(with_twins) > 0.3 * COUNT
    for layout, scene, words in with_twins:
        for place, phrase in zip(layout.twins, words.twins, strict=True):
            check_name(scene, place, phrase)


def test_a_relational_name_is_true_of_its_object_alone_and_flipped_false_of_it(told):
    rng = Random(0)
    found = 0
    for layout, scene, _ in told:
        for place, thing in enumerate(layout.things):
            phrase = relational_name(rng, layout, thing)
            if phrase:
                found += 1
                check_name(scene, place, phrase)
    assert found > 2 * COUNT


def check_name(scene, place, phrase):
    noun, relation, anchor = SENTENCE.fullmatch(phrase.text).groups()
    assert len(noun.split()) == len(anchor.split()) == 2  # colour and shape, no size or texture
    assert len(scene.matches(anchor)) == 1
    assert scene.subjects(phrase.text, test=scene.holds) == {place}
    assert scene.subjects(phrase.text, test=scene.may_hold) == {place}
    assert phrase.flipped == phrase.text.replace(relation, OPPOSITE[relation])
    assert place not in scene.subjects(phrase.flipped, test=scene.may_hold)


@pytest.mark.parametrize("size", [32, 48])
def test_look_alikes_have_phrases_at_sizes_where_whole_pixels_eat_the_margin(size):
    for layout in make_layouts(150, twins=1.0, size=size):
        scene, words = Pixels(layout, size), describe(Random(0), layout)
        for place, phrase in zip(layout.twins, words.twins, strict=True):
            check_name(scene, place, phrase)


def test_no_twins_no_twin_phrases(told):
    assert all((layout.twins is None) == (words.twins is None) for layout, _, words in told)
