"""Lines beside the figures of a decoder."""

import torch

from cloc.decoder.answerer import Answerer
from cloc.decoder.controls import GREY, beside, controls
from cloc.decoder.question_set import figures
from cloc.models.patch_order import random_order
from tests.decoder.test_question_set import asked
from tests.helpers.answering import answering


def test_the_figures_again_of_permuted_patches_and_of_a_grey_picture():
    torch.manual_seed(0)
    answerer = Answerer(answering(boxes={"form": "tokens", "cells": 4}))
    questions = asked(count=3)
    images = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    found = controls(answerer, images, questions, {})
    rows, said = [one.picture for one in questions], [one.question.asked for one in questions]
    order = random_order(answerer.model.tower.grid_at(images), 0)
    grey = torch.full_like(images, GREY)
    for line, seen in (
        ("permuted", answerer.look(images, order=order)),
        ("blind", answerer.look(grey)),
    ):
        expected = beside(line, figures(questions, answerer.ask(seen, rows, said)))
        assert expected.items() <= found.items()
    assert len(found) == 2 * len(expected)


def test_lines_of_chance_stand_once():
    told = {"what": 0.5, "what_chance": 0.1, "where_miou_random_box": 0.2}
    assert beside("blind", told) == {"what_blind": 0.5}
