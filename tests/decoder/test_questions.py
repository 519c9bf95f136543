"""Questions, each with its one right answer."""

from random import Random

import pytest

from cloc.decoder.questions import KINDS, questions_of
from cloc.interfaces import Example
from cloc.scenes.depth.generate import scenes
from tests.helpers.oracle import example

BALL, CUBE, OTHER = (0, 0, 8, 8), (16, 0, 32, 16), (0, 16, 8, 32)


def fractions(one: Example):
    return [tuple((box / 32).tolist()) for box in one.boxes]


def of(one, seed=0):
    found = questions_of(one, fractions(one), Random(seed))
    return {kind: [q for q in found if q.kind == kind] for kind in KINDS}


def test_where_a_phrase_is_that_one_region_has():
    one = example(("red", BALL), ("blue", CUBE), ("blue", OTHER), phrases=["a red", "b", "b"])
    [found] = of(one)["where"]
    assert found.asked == ("where is a red?",)
    assert found.answer == (0, 0, 0.25, 0.25)


@pytest.mark.parametrize("plain", ["blue", "a blue", "the blue"])
def test_not_where_the_name_of_several_things_is(plain):
    """One of them has another name in its region, which changes nothing."""
    one = example(("blue", CUBE), ("blue", OTHER), phrases=[plain, "the blue on the left"])
    assert [q.asked for q in of(one)["where"]] == [("where is the blue on the left?",)]
    one = example(("blue", CUBE), ("blue", CUBE), phrases=[plain, "the blue on the right"])
    assert len(of(one)["where"]) == 2  # two names of one thing


def test_what_is_at_a_box_that_has_a_class():
    one = example(("red", BALL), ("red", BALL), ("blue", CUBE))
    one = one._replace(labels=("red", "red", ""))
    [found] = of(one)["what"]
    assert (found.asked, found.answer) == (("what is at", (0, 0, 0.25, 0.25), "?"), "red")


def test_half_of_the_statements_are_flipped_and_answers_say_so():
    one = example(("red", BALL), meta={"relations": [{"caption": "left", "flipped": "right"}]})
    found = [of(one, seed)["relation"][0] for seed in range(200)]
    assert {(q.asked, q.answer) for q in found} == {
        (("is it true? left",), "yes"),
        (("is it true? right",), "no"),
    }
    assert 70 < sum(q.answer == "yes" for q in found) < 130


def test_of_two_look_alikes_the_right_one_is_first_as_often_as_last():
    twin = {"region": 1, "other": 0, "phrase": "the red below", "flipped": "the red above"}
    one = example(("red", BALL), ("red", OTHER), meta={"twins": [twin]})
    found = [of(one, seed)["which"][0] for seed in range(200)]
    first, last = (0, 0.5, 0.25, 1), (0, 0, 0.25, 0.25)
    assert {q.answer for q in found} == {first}
    words = "which is the red below,"
    orders = {(words, first, "or", last, "?"), (words, last, "or", first, "?")}
    assert {q.asked for q in found} == orders
    assert 70 < sum(q.asked[1] == first for q in found) < 130


def test_scenes_with_depth_give_all_of_them():
    count = dict.fromkeys(KINDS, 0)
    for record in scenes("train", 40, relational=1.0):
        boxes = [tuple(x / record.width for x in region.box) for region in record.regions]
        one = Example(
            record.key,
            None,
            (),
            None,
            tuple(region.text for region in record.regions),
            tuple(region.label for region in record.regions),
            record.meta,
        )
        for question in questions_of(one, boxes, Random(0)):
            count[question.kind] += 1
            assert question.answer in ("yes", "no") or question.answer in (*boxes, *one.labels)
    assert min(count.values()) > 20
