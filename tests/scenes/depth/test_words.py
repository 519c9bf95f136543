"""Every sentence is true by a map of the ground, of the one thing it means, and flipped it is not.

What the record says of boxes, distances and fronts is all that `Truth` looks at.
"""

from collections import Counter
from itertools import pairwise

import pytest

from cloc.scenes.depth.generate import versions
from cloc.scenes.depth.words import phrase
from tests.helpers.depth import RANKED, Truth, words_of

ALL_WORDS = {
    *("left of", "right of", "in front of", "behind", "in", "on", "under", "beside"),
    *("own left", "own right", "own front", "own back", "nearer", "farther", "nearest"),
    *("farthest", "leftmost", "rightmost"),
}


@pytest.fixture(scope="module")
def told():
    """(record, its truth) of both versions of 400 scenes; regions have their relational names."""
    settings = {"seed": 3, "size": 64}
    return [
        (record, Truth(record))
        for index in range(400)
        for _, record in versions("train", index, twins=index % 2, **settings)
    ]


def test_a_relational_name_means_its_thing_alone_and_flipped_not_it(told):
    heard = Counter()
    for record, truth in told:
        for i, region in enumerate(record.regions):
            if region.negatives:
                heard.update(words_of(region.text))
                assert truth.subjects(region.text) == {i}, region.text
                assert i not in truth.subjects(region.negatives[0]), region.text
    assert heard.keys() >= ALL_WORDS
    assert min(heard[word] for word in ALL_WORDS) > 5


def test_most_things_can_be_named_so(told):
    named = [bool(region.negatives) for record, _ in told for region in record.regions]
    assert sum(named) / len(named) > 0.6


def test_every_caption_is_true(told):
    related = 0
    for record, truth in told:
        for part in (part for c in record.captions for part in c.text.split("; ")):
            if words_of(part):
                related += 1
                assert truth.subjects(part), part
            else:
                assert truth.listed(part), part
    assert related > len(told)


def test_2_to_4_captions_all_different_and_at_most_32_words(told):
    assert {len(record.captions) for record, _ in told} == {2, 3, 4}
    for record, _ in told:
        texts = [caption.text for caption in record.captions]
        assert len(set(texts)) == len(texts)
        assert max(len(text.split()) for text in texts) <= 32


def test_the_relation_is_true_of_one_thing_and_its_flipped_form_of_none(told):
    relations = [(truth, r) for record, truth in told for r in record.meta["relations"]]
    assert len(relations) > 0.4 * len(told)
    for truth, relation in relations:
        assert len(truth.subjects(relation["caption"])) == 1
        assert not truth.subjects(relation["flipped"]), relation


def test_names_fit_the_short_context_of_regions(told):
    """16 tokens with those of start and end; a possessive is two."""
    for record, _ in told:
        for region in record.regions:
            for text in (region.text, *region.negatives):
                assert len(text.replace("'s", " s").split()) <= 14


def test_versions_swap_the_names_of_look_alikes(told):
    swapped = 0
    for (one, _), (other, _) in pairwise(told):
        if one.key[:-2] != other.key[:-2] or not one.meta["twins"]:
            continue
        names = [
            {record.regions[t["region"]].box: t["phrase"] for t in record.meta["twins"]}
            for record in (one, other)
        ]
        assert names[0].keys() == names[1].keys()
        assert set(names[0].values()) == set(names[1].values())
        assert all(names[0][box] != names[1][box] for box in names[0])
        swapped += 1
    assert swapped > 100


def test_whose_left_it_is_stands_in_the_words():
    a, car = "the red ball", "the blue car"
    assert phrase("view", a, "left of", car, fronted=True) == (
        "the red ball directly left of the blue car from the viewer"
    )
    assert phrase("own", a, "left", car, fronted=True) == (
        "the red ball on the blue car's own left"
    )
    assert phrase("own", a, "back", car, fronted=True) == "the red ball at the blue car's own back"
    assert phrase("far", a, "left of", "the blue cone", fronted=False) == (
        "the red ball left of the blue cone"
    )
    assert phrase("hold", a, "in", "a blue bowl", fronted=False) == "the red ball in a blue bowl"


def test_of_two_one_is_nearer_and_of_more_one_is_nearest(told):
    for record, _ in told:
        for region in record.regions:
            if found := RANKED.fullmatch(region.text):
                assert (found[2] == "two") == (found[1] in ("nearer", "farther"))


def test_of_a_crowd_both_ends_have_names_or_none(told):
    """So that no rank is likelier than its flipped form."""
    ranks = Counter()
    for record, _ in told:
        found = [m[1] for region in record.regions if (m := RANKED.fullmatch(region.text))]
        assert len(found) in (0, 2)
        ranks.update(found)
    for one, other in (("nearer", "farther"), ("nearest", "farthest"), ("leftmost", "rightmost")):
        assert ranks[one] == ranks[other] > 5
