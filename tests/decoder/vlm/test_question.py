"""What is asked, and where its answer lies."""

import numpy as np
import PIL.Image
import pytest

from cloc.decoder.vlm.question import DEFAULT, questions
from cloc.errors import UserError
from cloc.interfaces import Example

BOXES = np.array([[0, 0, 20, 10], [10, 5, 40, 20], [20, 10, 40, 20]], np.float32)
IMAGE = PIL.Image.new("RGB", (40, 20))
DOGS = Example("a", IMAGE, (), BOXES, ("dog", "cat", "dog"), ("",) * 3, {})
NOTHING = Example("b", IMAGE, ("a sky",), np.zeros((0, 4), np.float32), (), (), {})


def test_a_phrase_is_that_of_the_first_region_and_all_its_boxes_count():
    [found] = questions([DOGS, NOTHING], DEFAULT)
    assert found.text == "Where is the dog?"
    np.testing.assert_allclose(found.boxes, [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]])


@pytest.mark.parametrize(
    ("phrase", "text", "asked"),
    [
        ("a red star", DEFAULT, "Where is the red star?"),
        ("The dog", DEFAULT, "Where is the dog?"),
        ("a", DEFAULT, "Where is the a?"),
        ("a red star", "Is there {phrase}?", "Is there a red star?"),
        ("a red star", "The {phrase}: where?", "The red star: where?"),
        ("a red star", "Bathe {phrase}!", "Bathe a red star!"),
    ],
)
def test_an_article_is_dropped_behind_another(phrase, text, asked):
    [found] = questions([DOGS._replace(phrases=(phrase, "cat", "dog"))], text)
    assert found.text == asked


def test_a_question_without_a_phrase_is_asked_of_every_picture():
    both = list(questions([DOGS, NOTHING], "What is this?"))
    assert [one.text for one in both] == ["What is this?"] * 2
    assert [len(one.boxes) for one in both] == [3, 0]


def test_a_square_is_the_whole_picture():
    [found] = questions([DOGS], DEFAULT)
    assert found.picture(square=False).size == (40, 20)
    halves = PIL.Image.new("RGB", (40, 20))
    halves.paste("white", (20, 0, 40, 20))
    square = found._replace(example=DOGS._replace(image=halves)).picture(square=True)
    assert square.size == (40, 40)
    assert square.getpixel((5, 39)) == (0, 0, 0)
    assert square.getpixel((35, 39)) == (255, 255, 255)


def test_a_question_is_words():
    with pytest.raises(UserError, match=r"question= ; give words, as Where is the {phrase}\?"):
        list(questions([DOGS], " "))
