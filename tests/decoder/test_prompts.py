"""Requests in other words, and the expert that each is for."""

import numpy as np

from cloc.decoder.prompts import FOR_BOXES, FOR_WORDS, FORMS, prompts_of


def rng():
    return np.random.default_rng(0)


def test_of_each_phrase_one_for_a_box_and_one_for_words():
    found = list(prompts_of(["a red cup", "The ball left of it"], rng()))
    assert [one.grounds for one in found] == [True, False, True, False]
    named = [one for one in prompts_of(["a red cup"] * 200, rng()) if "red" in one.text]
    assert len(named) > 200
    assert not any("a a " in one.text or "the a " in one.text for one in named)


def test_each_in_one_of_the_forms():
    found = {(one.text, one.grounds) for one in prompts_of(["a cup"] * 500, rng())}
    expected = {
        (form.format(name="cup"), kind is FOR_BOXES)
        for kind in (FOR_BOXES, FOR_WORDS)
        for form in kind
    }
    assert found == expected
    few = list(prompts_of(["a cup"] * 20, rng(), [FORMS[0]]))
    assert {(one.text, one.grounds) for one in few} == {("find the cup", True)}
