"""Questions of a training batch, word for word."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from cloc.data.samples.raster import from_pixels
from cloc.data.samples.transforms import Sample
from cloc.decoder.asking import Asking
from cloc.decoder.boxes_in_words import BoxWords
from cloc.decoder.words import Words, tokens_of
from cloc.errors import UserError
from cloc.models.tokenizers import make_tokenizer
from tests.helpers.models import NATIVE

WORDS = Words(make_tokenizer(NATIVE))
BOXES = BoxWords(WORDS, 49408, cells=8)
ONE = Sample(
    key="a",
    image=from_pixels(np.zeros((32, 64, 3), np.uint8)),
    caption=None,
    boxes=np.array([[0, 0, 32, 16], [32, 8, 64, 32]], np.float32),
    phrases=("a red ball", "a cup left of it"),
    negatives=((), ("a cup right of it",)),
)


def said(asked):
    """(question, answer) in words, an answer that is a box as one."""
    answer = list(asked.answer)
    return WORDS.decode(list(asked.question)), BOXES.decode(answer) or WORDS.decode(answer)


def test_one_question_of_one_kind_each_as_often_as_the_others():
    asking = Asking(BOXES)
    found = [said(asking(ONE, np.random.default_rng(seed))[0]) for seed in range(600)]
    first, second = (0.0, 0.0, 0.5, 0.5), (0.5, 0.25, 1.0, 1.0)
    assert set(found) == {
        ("where is a red ball ?", first),
        ("where is a cup left of it ?", second),
        ("what is at 0 0 4 4 ?", "a red ball"),
        ("is 4 2 8 8 a cup left of it ?", "yes"),
        ("is 4 2 8 8 a cup right of it ?", "no"),
    }
    for word in ("where", "what", "is "):
        assert 160 < sum(question.startswith(word) for question, _ in found) < 240


def test_with_the_first_and_last_token_of_a_text():
    [asked] = Asking(BOXES, kinds=["what"])(ONE, np.random.default_rng(0))
    assert asked.question[0] == WORDS.begin
    assert asked.answer[-1] == WORDS.end
    assert WORDS.end not in asked.question


@pytest.mark.parametrize("kind", ["where", "what", "whether"])
def test_only_kinds_that_are_asked_for(kind):
    asking = Asking(BOXES, kinds=[kind])
    first = {"where": "where is", "what": "what is at", "whether": "is "}[kind]
    for seed in range(40):
        [asked] = asking(ONE, np.random.default_rng(seed))
        assert said(asked)[0].startswith(first)


def test_prompts_have_no_answer_and_say_whether_they_ask_for_a_box():
    asking = Asking(BOXES, kinds=["prompt"], slots=9)
    found = asking(ONE, np.random.default_rng(0))
    assert len(found) == 4
    assert sorted(one.grounds for one in found) == [False, False, True, True]
    assert {one.answer for one in found} == {()}
    assert all(one.question[0] == WORDS.begin for one in found)


def test_of_prompts_only_forms_whose_words_the_decoder_has():
    """Nobody can ask it others."""
    said_of_it = "find the a red ball cup left right of it where is ?"
    kept = tokens_of(make_tokenizer(NATIVE), [said_of_it])
    boxes = BoxWords(Words(make_tokenizer(NATIVE), kept), len(kept), form="tokens")
    asking = Asking(boxes, kinds=["prompt", "where"], slots=9)
    found = asking(ONE, np.random.default_rng(0))
    told = {boxes.words.decode(list(one.question)) for one in found if not one.answer}
    assert told == {"find the red ball", "find the cup left of it"}
    none = tokens_of(make_tokenizer(NATIVE), [said_of_it.removeprefix("find the ")])
    words = BoxWords(Words(make_tokenizer(NATIVE), none), len(none), form="tokens")
    assert Asking(words, kinds=["prompt"])(ONE, np.random.default_rng(0)) == ()


def test_none_where_a_picture_allows_none():
    nothing = replace(ONE, boxes=np.zeros((0, 4), np.float32), phrases=(), negatives=())
    for kinds in (["where", "what", "whether"], ["prompt"], ["where", "prompt"]):
        assert Asking(BOXES, kinds=kinds)(nothing, np.random.default_rng(0)) == ()
    names = replace(ONE, negatives=((), ()))
    assert Asking(BOXES, kinds=["whether"])(names, np.random.default_rng(0)) == ()


def test_at_most_so_many_each_of_another_thing_or_kind():
    for slots in (1, 2, 3, 9):
        asked = Asking(BOXES, slots=slots)(ONE, np.random.default_rng(0))
        assert len({said(one)[0] for one in asked}) == len(asked) == min(slots, 4)
    with pytest.raises(UserError, match=r"decoder\.slots=0; give 1 or more"):
        Asking(BOXES, slots=0)


def test_what_was_asked_before_changes_nothing(monkeypatch):
    """Texts are remembered, and forgotten where they are too many."""
    fresh = [Asking(BOXES)(ONE, np.random.default_rng(seed)) for seed in range(20)]
    monkeypatch.setattr("cloc.decoder.asking.REMEMBERED", 2)
    asking = pickle.loads(pickle.dumps(Asking(BOXES)))  # as a worker gets it
    assert [asking(ONE, np.random.default_rng(seed)) for seed in range(20)] == fresh


def test_a_reason_has_its_steps_and_none_is_asked_for_by_default():
    shown = replace(ONE, phrases=("a red ball", "a cup"), negatives=((), ()))
    told = replace(
        shown,
        boxes=shown.boxes[[0, 1, 1]],
        phrases=(*shown.phrases, "the cup right of the red ball"),
        negatives=((), (), ("the cup left of the red ball",)),
    )
    [found] = Asking(BOXES, kinds=["reason"])(told, np.random.default_rng(0))
    assert WORDS.decode(list(found.question)) == (
        "which is the cup right of the red ball ? step by step"
    )
    first, second = np.split(found.answer, np.cumsum(found.steps)[:-1])
    assert WORDS.decode(first.tolist()) == "the red ball is at 0 0 4 4 ."
    assert BOXES.decode(second.tolist()) == (0.5, 0.25, 1.0, 1.0)
    assert second[-1] == WORDS.end
    assert found.grounds
    asked = [one for i in range(9) for one in Asking(BOXES)(told, np.random.default_rng(i))]
    assert not any("step by step" in said(one)[0] for one in asked)


def test_one_step_where_nothing_is_said_before_the_answer():
    for kind, grounds in (("where", True), ("what", False), ("whether", False)):
        [asked] = Asking(BOXES, kinds=[kind])(ONE, np.random.default_rng(0))
        assert asked.steps == (len(asked.answer),)
        assert asked.grounds is grounds


@pytest.mark.parametrize("kinds", [[], ["why"]])
def test_kinds_that_there_are_not(kinds):
    with pytest.raises(UserError, match=r"decoder\.kinds=.*from where, what, whether, reason"):
        Asking(BOXES, kinds=kinds)
