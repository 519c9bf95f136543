"""Pictures and questions in, words and boxes out."""

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.decoder.answerer import Answerer
from cloc.decoder.steer import AdaptVis
from cloc.errors import UserError
from tests.helpers.answering import answering, clip, repaired

BOX = (0.0, 0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def answerer():
    model = answering(boxes={"form": "tokens", "cells": 4})
    for weight in model.decoder.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return Answerer(model, most=6)


def pictures(count=3):
    rng = np.random.default_rng(0)
    return [PIL.Image.fromarray(rng.integers(256, size=(40, 32, 3), dtype=np.uint8))] * count


QUESTIONS = ["where is a red cup?", ("what is at", BOX, "?"), "is it?"]


def test_longer_and_shorter_questions_side_by_side_change_nothing(answerer):
    images = pictures()
    together = answerer.answer(images, [QUESTIONS, [], QUESTIONS[:1]])
    assert [len(own) for own in together] == [3, 0, 1]
    alone = [answerer.answer(images[:1], [[question]])[0][0] for question in QUESTIONS]
    assert together[0] == alone
    assert together[2] == alone[:1]


def test_no_question_has_no_answer(answerer):
    assert answerer.answer([], []) == []
    assert answerer.answer(pictures(2), [[], []]) == [[], []]
    seen = answerer.look(answerer.embedder.prepare(pictures(1), [np.zeros((0, 4))]).images)
    assert answerer.ask(seen, [], []) == []
    assert answerer.confidence(seen, [], []).shape == (0,)


def test_more_at_once_change_nothing(answerer, monkeypatch):
    images = pictures()
    together = answerer.answer(images, [QUESTIONS] * 3)
    monkeypatch.setattr("cloc.decoder.answerer.AT_ONCE", 2)
    assert answerer.answer(images, [QUESTIONS] * 3) == together


def test_an_answer_is_a_box_where_what_is_said_is_one_else_words(answerer):
    words = answerer.boxes.words
    said = answerer.boxes.encode(BOX)
    assert answerer._read([*said, words.end]) == BOX
    assert answerer._read([*words.encode("it is at"), *said, *words.encode("."), *said]) == BOX
    assert answerer._read([*words.encode("a red cup"), words.end]) == "a red cup"
    assert answerer._read([*words.encode("at"), *said]) == "at"


def test_how_sure_it_is_of_the_first_token(answerer):
    seen = answerer.look(answerer.embedder.prepare(pictures(2), [np.zeros((0, 4))] * 2).images)
    sure = answerer.confidence(seen, [0, 1, 1], QUESTIONS)
    assert sure.shape == (3,)
    assert (sure > 0).all()
    assert (sure <= 1).all()


def test_of_twins_the_one_is_asked_how_sure_it_is_that_answers():
    model = repaired(answering(), twin={"every": 1})
    for name, weight in model.decoder.named_parameters():
        if "new" in name:
            torch.nn.init.normal_(weight, std=0.5)
    torch.nn.init.constant_(model.decoder.router.score.bias, -1)
    asks = Answerer(model)
    seen = asks.look(asks.embedder.prepare(pictures(1)).images)
    tokens, valid = asks.tokens(QUESTIONS[:1])
    old, new = (
        model.decoder.confidence(
            seen.patches, seen.grid, tokens, valid, share=torch.full((1,), share)
        )
        for share in (1.0, 0.0)
    )
    assert not old.allclose(new)
    found = asks.confidence(seen, [0], QUESTIONS[:1])
    torch.testing.assert_close(found, new, rtol=1e-4, atol=0)


def test_a_factor_of_one_is_the_model_as_it_is(answerer):
    seen = answerer.look(answerer.embedder.prepare(pictures(1), [np.zeros((0, 4))]).images)
    plain = answerer.ask(seen, [0] * 3, QUESTIONS)
    steer = AdaptVis(unsure=1, sure=1)
    assert answerer.ask(seen, [0] * 3, QUESTIONS, steer=steer) == plain


def test_an_order_moves_patches_before_the_encoder_sees_them(answerer):
    x = answerer.embedder.prepare(pictures(1), [np.zeros((0, 4))]).images
    plain = answerer.look(x)
    same = answerer.look(x, order=torch.arange(16))
    assert same.patches.equal(plain.patches)
    moved = answerer.look(x, order=torch.arange(16).flip(0)).patches
    assert not moved.sort(1)[0].allclose(plain.patches.sort(1)[0])  # the encoder has positions


def test_what_it_cannot_answer_is_one_line(answerer):
    with pytest.raises(UserError, match="this model has no decoder; give a run of experiment"):
        Answerer(clip())
    with pytest.raises(UserError, match="questions of 1 pictures, but there are 2"):
        answerer.answer(pictures(2), [["where?"]])


@pytest.mark.parametrize(
    ("questions", "says"),
    [
        (["where?"], r"questions=where\?; give a list of them for each picture"),
        ([[""]], r"question=; give words, such as"),
        ([[" "]], r"question= ; give words"),
        ([[()]], r"question=\(\); give words"),
        ([[(BOX,)]], r"question=\(\(0\.0, .*; give words"),
        (
            [[("at", (10.0, 20.0, 90.0, 80.0), "?")]],
            r"\(10\.0, .* is no box of the picture; give x0",
        ),
        ([[("at", (0.5, 0.5, 0.2, 0.2))]], r"\(0\.5, .* is no box"),
        ([[("at", (0.5, 0.5, 0.5, 0.9))]], r"\(0\.5, .* is no box"),
        ([[("at", (float("nan"), 0.0, 1.0, 1.0))]], r"\(nan, .* is no box"),
    ],
)
def test_a_question_has_words_and_a_box_something_of_the_frame(answerer, questions, says):
    with pytest.raises(UserError, match=says):
        answerer.answer(pictures(1), questions)
    assert answerer.answer(pictures(1), [[("what is at", (-0.1, 0.0, 0.5, 1.1), "?")]])
