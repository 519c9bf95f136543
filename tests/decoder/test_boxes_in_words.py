"""Boxes as words of digits and as tokens of their own."""

import numpy as np
import pytest

from cloc.decoder.boxes_in_words import BoxWords, own_tokens
from cloc.decoder.words import Words
from cloc.errors import UserError
from cloc.models.tokenizers import make_tokenizer
from tests.helpers.models import NATIVE

WORDS = Words(make_tokenizer(NATIVE))
FORMS = ["text", "tokens"]


def made(form, cells=16):
    return BoxWords(WORDS, 49408, form=form, cells=cells)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cells", [1, 4, 9, 10, 16, 100])
def test_every_box_of_the_grid_comes_back(form, cells):
    boxes, lines = made(form, cells), range(cells + 1)
    step = max(1, cells // 5)
    for x0 in lines[:-1:step]:
        for x1 in lines[x0 + 1 :: step]:
            box = (x0 / cells, (cells - 1) / cells, x1 / cells, 1.0)
            assert boxes.decode(boxes.encode(box)) == box
            assert boxes.decode([*boxes.encode(box), WORDS.end]) == box


@pytest.mark.parametrize("form", FORMS)
def test_the_nearest_lines_one_cell_apart_at_least(form):
    rng, boxes = np.random.default_rng(0), made(form)
    for _ in range(200):
        low, high = np.sort(rng.random((2, 2)), axis=0)
        found = np.array(boxes.decode(boxes.encode((*low, *high))))
        assert np.all(found[2:] > found[:2])
        apart = np.abs(found - [*low, *high])
        assert np.all(apart[np.tile(high - low > 1 / 16, 2)] <= 1 / 32 + 1e-9)
        assert np.all(apart <= 1.5 / 16 + 1e-9)
    for box in ((0.0,) * 4, (1.0,) * 4, (-1.0, 0.5, 2.0, 0.5)):
        x0, y0, x1, y1 = boxes.decode(boxes.encode(box))
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1


def test_a_vocabulary_has_a_token_for_each_line():
    assert own_tokens(form="text") == 0
    assert own_tokens(form="tokens", cells=16) == 17
    assert made("tokens").encode((0.0, 0.0, 1.0, 0.5)) == [49408, 49408, 49424, 49416]
    assert WORDS.decode(made("text").encode((0.0, 0.25, 1.0, 0.5))) == "0 0 0 4 1 6 0 8"


@pytest.mark.parametrize(
    "said", ["a red ball", "", "00 04 16", "00 04 16 08 01", "00 04 17 08", "04 00 04 08", "0 4 1"]
)
def test_what_says_no_box_is_none(said):
    assert made("text").decode(WORDS.encode(said)) is None


@pytest.mark.parametrize("tokens", [[], [49408] * 4, [5, 49408, 49410, 49411], [49408, 49410]])
def test_tokens_that_say_no_box_are_none(tokens):
    assert made("tokens").decode(tokens) is None
    assert made("text").decode(tokens) is None


@pytest.mark.parametrize("form", FORMS)
def test_the_answer_is_what_is_said_behind_the_last_full_stop(form):
    boxes, own = made(form), (0.0, 0.25, 1.0, 0.5)
    step = [
        *WORDS.encode("the bowl is at"),
        *boxes.encode((0.5, 0.5, 1.0, 1.0)),
        *WORDS.encode("."),
    ]
    answer = [*boxes.encode(own), WORDS.end]
    for steps in range(3):
        said = [*(steps * step), *answer]
        assert boxes.behind_steps(said) == answer
        assert boxes.decode(boxes.behind_steps(said)) == own
    assert boxes.decode([*step, *answer]) is None


@pytest.mark.parametrize(("more", "says"), [({"form": "words"}, "form=words"), ({"cells": 0}, "0")])
def test_what_cannot_be_is_one_line(more, says):
    with pytest.raises(UserError, match=f"decoder.boxes.*{says}; "):
        BoxWords(WORDS, 49408, **more)
