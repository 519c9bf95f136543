"""Questions of a split, and what counts as right."""

from collections import Counter

import pytest
import torch

from cloc.decoder.question_set import Put, figures, is_right, put
from cloc.decoder.questions import Question
from cloc.decoder.words import Words
from cloc.models.tokenizers import make_tokenizer
from tests.helpers.models import NATIVE
from tests.helpers.oracle import example

LEFT, RIGHT, BALL = (0, 0, 16, 16), (16, 0, 32, 16), (0, 16, 16, 32)
PHRASES = ["a cup", "a cup", "a ball", "the cup left of it", "the cup right of it"]
FLIPPED = ((), (), (), ("the cup right of it",), ("the cup left of it",))
LABELS = ["red", "red", "blue", "red", "red"]


def one():
    """Two red cups, a blue ball, and of each cup where it is."""
    places = [LEFT, RIGHT, BALL, LEFT, RIGHT]
    regions = list(zip(LABELS, places, strict=True))
    return example(*regions, phrases=PHRASES)._replace(negatives=FLIPPED)


def asked(count=1, most=100):
    examples = [one() for _ in range(count)]
    return put(examples, [torch.tensor(e.boxes) / 32 for e in examples], most=most)


def fraction(box):
    return tuple(x / 32 for x in box)


def test_all_that_can_be_asked_and_which_of_it_is_a_name():
    found = {(x.question.kind, x.question.region, x.is_name) for x in asked()}
    names = {("what", i, True) for i in range(3)} | {("where", 2, True)}
    relations = {(kind, i, False) for kind in ("where", "whether") for i in (3, 4)}
    assert found == names | relations


def test_rivals_are_other_things_of_the_class():
    of = {(x.question.kind, x.question.region): x.rivals for x in asked()}
    assert of["where", 3] == (fraction(RIGHT),)
    assert of["where", 4] == (fraction(LEFT),)
    assert of["where", 2] == ()


def test_at_most_so_many_of_each_kind():
    counts = Counter((x.question.kind, x.is_name) for x in asked(count=9, most=5))
    assert set(counts.values()) == {5}
    lonely = one()._replace(labels=["red", "green", "blue", "red", "green"])
    both = [one(), lonely] * 9
    mixed = put(both, [torch.tensor(e.boxes) / 32 for e in both], most=5)
    kinds = Counter((x.question.kind, bool(x.rivals)) for x in mixed if not x.is_name)
    assert kinds == {(kind, has): 5 for kind in ("where", "whether") for has in (True, False)}
    assert len({x.picture for x in asked(count=9, most=5)}) > 2


def test_right_answers_have_a_figure_of_one_and_wrong_ones_of_zero():
    questions = asked(count=4)
    right = figures(questions, [x.question.answer for x in questions])
    wrong = figures(questions, ["nothing" for _ in questions])
    names = {"what", "whether", "left_right", "where_acc@0.5", "where_miou", "look_alike"}
    assert {name: right[name] for name in names} == dict.fromkeys(names, 1.0)
    assert {name: wrong[name] for name in names} == dict.fromkeys(names, 0.0)
    assert {k for k in right if k.endswith("_chance")} == {f"{name}_chance" for name in names}
    assert right["what_chance"] == pytest.approx(2 / 3)  # two of three names are a cup
    assert right["where_miou_chance"] == right["where_miou_random_box"]


def test_left_or_right_is_asked_of_things_of_which_there_is_another_one():
    questions = [x for x in asked() if x.question.kind == "whether"]
    alone = [x._replace(rivals=()) for x in questions]
    said = [x.question.answer for x in questions]
    assert figures(questions, said)["left_right"] == 1
    assert "left_right" not in figures(alone, said)
    assert figures(alone, said)["whether"] == 1


@pytest.mark.parametrize("name", ["a St. Bernard", "a T-shirt", "the man's hat", "a 2-door car"])
def test_letter_for_letter_whatever_a_vocabulary_makes_of_it(name):
    """Those of the towers say "a t - shirt"."""
    words = Words(make_tokenizer(NATIVE))
    said = words.decode(words.encode(name))
    assert said != name
    one = Put(0, Question("what", ("what is at", fraction(BALL), "?"), name, 0), True, ())
    assert is_right(one, said)
    assert not is_right(one, said[:-1])
    assert not is_right(one, fraction(BALL))


def test_of_three_look_alikes_chance_is_a_third():
    alike = [x for x in asked() if x.question.kind == "where" and x.rivals]
    more = [x._replace(rivals=(*x.rivals, fraction(BALL))) for x in alike]
    assert figures(alike, [None] * 2)["look_alike_chance"] == 0.5
    assert figures(more, [None] * 2)["look_alike_chance"] == pytest.approx(1 / 3)


def test_between_two_look_alikes_no_answer_is_right():
    between = (0.25, 0.0, 0.75, 0.5)
    alike = [x for x in asked() if x.question.kind == "where" and x.rivals]
    assert figures(alike, [between] * 2)["look_alike"] == 0
    near = (0.125, 0.0, 0.625, 0.5)  # more of the left one
    assert [is_right(x, near) for x in alike] == [x.question.region == 3 for x in alike]


def test_the_lines_of_boxes_that_are_guessed_are_beside_those_of_names():
    questions = asked(count=4)
    found = figures(questions, [None] * len(questions))
    assert found["where_miou"] == 0
    assert 0 < found["where_miou_random_box"] < 0.5
    assert found["where_miou_centre_box"] == pytest.approx(1 / 7)  # a quarter of each in the other
    assert "where_miou" not in figures([], [])
