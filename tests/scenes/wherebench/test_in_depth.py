"""Items of solids are the same bytes on every machine, and mean what an independent reader sees."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest

from cloc.scenes.depth.generate import _meta
from cloc.scenes.depth.words import Words
from cloc.scenes.wherebench.in_depth import (
    LOOK_ALIKES,
    RANK,
    RELATIONS,
    _candidates,
    _drawn,
    item,
    look_alike_item,
)
from tests.helpers.depth import Truth

# Of the first six items in 64 pixels and the first in 96: a change is a change of the version.
DIGESTS = {
    "left_right": "3c1b2c390dc7712e",
    "front_behind": "c50f01523de9ac62",
    "own_side_by_side": "4a26057dbe00e5ce",
    "own_in_line": "c9c166407e2e0de8",
    "in_beside": "27ce4e9570be9b76",
    "on_beside": "8bedd0f06bfecb0d",
    "on_under": "ef76817fe6bbd379",
    "nearer_farther": "a73c2342a4ca3866",
}


def truth_of(shown, size):
    """The independent reader of a picture, and the numbers of its look-alikes."""
    layout, number = shown
    version = layout.versions[number]
    unsaid = layout._replace(crowd=[]), version._replace(pairs=[])
    meta = _meta(*unsaid, Words([], None, {}), size)
    boxes = [SimpleNamespace(box=thing.box) for thing in version.things]
    return Truth(SimpleNamespace(meta=meta, regions=boxes, width=size)), version.things


@pytest.mark.parametrize("relation", LOOK_ALIKES)
def test_the_first_items_are_the_same_on_every_machine(relation):
    out = hashlib.blake2b(digest_size=8)
    asked = [(number, 64) for number in range(6)] + [(0, 96)]
    makers = [look_alike_item] if relation == RANK else [item, look_alike_item]
    for make in makers:
        for number, size in asked:
            one = make(relation, number, size=size)
            for example in one.examples:
                out.update(example.image.tobytes() + example.boxes.tobytes())
            out.update("|".join(one.captions).encode())
    assert out.hexdigest() == DIGESTS[relation]


@pytest.mark.parametrize("relation", LOOK_ALIKES)
def test_a_phrase_means_one_look_alike_here_and_the_other_one_there(relation):
    for number in range(12):
        one = look_alike_item(relation, number, size=64)
        shown = _drawn(relation, number, 64, True)
        for example, scene, candidates in zip(one.examples, shown, _candidates(shown), strict=True):
            truth, things = truth_of(scene, 64)
            for phrase, candidate in zip(example.phrases, candidates, strict=True):
                assert truth.subjects(phrase) == {things.index(candidate)}
        assert one.examples[0].phrases == one.captions == one.examples[1].phrases[::-1]


@pytest.mark.parametrize("relation", RELATIONS)
def test_candidates_stand_in_the_same_boxes_in_both_pictures(relation):
    for number in range(12):
        first, second = look_alike_item(relation, number, size=64).examples
        assert (first.boxes == second.boxes).all()


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_caption_is_true_of_its_own_picture_only(relation):
    for number in range(12):
        one = item(relation, number, size=64)
        shown = _drawn(relation, number, 64, False)
        true = [
            [bool(truth_of(scene, 64)[0].subjects(caption)) for caption in one.captions]
            for scene in shown
        ]
        assert true == [[True, False], [False, True]]
        assert [example.captions for example in one.examples] == [(c,) for c in one.captions]
        assert one.mirror_swaps == any(side in one.captions[0] for side in ("left", "right"))


def test_of_two_crowds_the_nearer_is_first_as_often_as_the_farther():
    found = [look_alike_item(RANK, number, size=64) for number in range(60)]
    first = ["nearer" in one.captions[0] for one in found]
    assert abs(np.mean(first) - 0.5) <= 3 * 0.5 / len(found) ** 0.5


@pytest.mark.parametrize("relation", LOOK_ALIKES)
def test_keys_and_digests_tell_every_picture_from_every_other(relation):
    found = [
        look_alike_item(relation, number, size=size) for number in range(3) for size in (64, 65)
    ]
    if relation != RANK:
        found += [item(relation, number, size=64) for number in range(3)]
    digests = [example.digest for one in found for example in one.examples]
    assert len(set(digests)) == len(digests)


def test_pictures_are_drawn_when_they_are_looked_at_and_again_the_same():
    example = item("on_under", 0, size=64).examples[1]
    assert callable(example[1])
    assert example.image.tobytes() == example.image.tobytes()
