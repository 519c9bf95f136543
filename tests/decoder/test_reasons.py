"""Chains of thought of which every step is true."""

import re
from collections import Counter
from itertools import islice

import pytest

from cloc.decoder.reasons import reasons_of
from cloc.scenes.depth.generate import scenes
from cloc.scenes.generate import with_both_names

LEFT, MIDDLE, RIGHT = (0.0, 0.0, 0.25, 0.5), (0.5, 0.0, 0.7, 0.5), (0.75, 0.5, 1.0, 1.0)
NAMED = [(LEFT, "a bowl"), (MIDDLE, "a cup"), (RIGHT, "a cup")]
ASKED = (RIGHT, "the cup right of the bowl", "the cup left of the bowl")


def of(*regions):
    """`regions` are (box, phrase) or (box, phrase, flipped)."""
    boxes, phrases, *_ = zip(*((*region, "")[:3] for region in regions), strict=True)
    negatives = [region[2:] for region in regions]
    return list(reasons_of(boxes, phrases, negatives))


def test_the_other_thing_then_all_of_the_name_from_the_left_on_then_its_box():
    [found] = of(*NAMED[::-1], ASKED)
    assert found.asked == ("which is the cup right of the bowl? step by step",)
    assert found.steps == (
        ("the bowl is at", LEFT, "."),
        ("a cup is at", MIDDLE, "and at", RIGHT, "."),
    )
    assert (found.kind, found.answer, found.region, found.grounds) == ("reason", RIGHT, 3, True)


def test_of_two_other_things_both_are_told():
    """Which of them is meant is not said, and need not be known."""
    phrase = "the cup right of a bowl"
    [found] = of(*NAMED[::-1], (MIDDLE, "a bowl"), (RIGHT, phrase, "the cup left of a bowl"))
    assert found.steps[0] == ("a bowl is at", LEFT, "and at", MIDDLE, ".")
    assert found.answer == RIGHT


def test_a_thing_that_is_alone_of_its_name_is_not_said_twice():
    [found] = of(NAMED[0], NAMED[2], ASKED)
    assert found.steps == (("the bowl is at", LEFT, "."),)


@pytest.mark.parametrize(
    "regions",
    [
        (*NAMED, ASKED[:2]),
        (*NAMED, ASKED, (MIDDLE, *ASKED[1:])),
        (*NAMED, ASKED, ((0.3, 0.3, 0.4, 0.4), "the jug left of the bowl", "the jug behind it")),
        (*NAMED, (RIGHT, "the right one of the two cups", "the left one of the two cups")),
        (*NAMED, (RIGHT, "the bowl right of the cup", "the bowl left of the cup")),
        (*NAMED, (LEFT, "a cup"), (LEFT, "the cup in the bowl", "the cup beside the bowl")),
        (*NAMED, (MIDDLE, "a jug"), (RIGHT, "the cup left of a cup and the jug", "no")),
    ],
    ids=[
        "no flipped form",
        "of two boxes",
        "a thing without a name",
        "no other thing",
        "of another box",
        "in one box",
        "three",
    ],
)
def test_none_where_a_step_is_not_known_to_be_true(regions):
    assert of(*regions) == []


def test_of_names_within_names_the_longest():
    for name in ("sugar bowl", "bowl of soup"):
        [found] = of(*NAMED, (MIDDLE, f"a {name}"), (RIGHT, f"the cup right of the {name}", "no"))
        assert found.steps[0] == (f"the {name} is at", MIDDLE, ".")
    assert of((LEFT, "a bow"), NAMED[2], ASKED) == []  # within a word


def test_every_step_is_true_of_scenes_and_look_alikes_are_told_apart():
    counts = Counter()
    for record in islice(map(with_both_names, scenes("train", 60, relational=1.0)), 60):
        regions, objects = record.regions, record.meta["objects"]
        boxes, texts = [r.box for r in regions], [r.text for r in regions]
        names = dict(zip(boxes, objects, strict=False))
        of_pair = {pair["region"]: pair["other"] for pair in record.meta["pairs"]}
        for found in reasons_of(boxes, texts, [r.negatives for r in regions]):
            own = names[found.answer]
            told = [[part for part in step if not isinstance(part, str)] for step in found.steps]
            other = names[told[0][0]]
            assert re.search(rf"the {own} .*\b(a|an|the) {other}\b", texts[found.region])
            if boxes.index(found.answer) in of_pair:
                assert boxes[of_pair[boxes.index(found.answer)]] in told[0]
            expected = [other, own] if objects.count(own) > 1 else [other]
            assert told == [sorted(b for b in names if names[b] == name) for name in expected]
            counts[len(told)] += 1
    assert min(counts[1], counts[2]) > 20
