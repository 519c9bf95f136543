"""Questions, each with its one right answer."""

import numpy as np

from cloc.decoder.questions import KINDS, Question, questions_of

BALL, CUBE, OTHER = (0.0, 0.0, 0.25, 0.25), (0.5, 0.0, 1.0, 0.5), (0.0, 0.5, 0.25, 1.0)


def of(*regions, seed=0):
    """`regions` are (box, phrase, its flipped forms)."""
    boxes, phrases, negatives = zip(*regions, strict=True)
    found = list(questions_of(boxes, phrases, negatives, np.random.default_rng(seed)))
    return {kind: [q for q in found if q.kind == kind] for kind in KINDS}


def test_where_is_the_box_of_a_phrase_if_no_other_box_has_it_too():
    found = of((BALL, "a red", ()), (CUBE, "b", ()), (OTHER, "b", ()))["where"]
    assert [(q.asked, q.answer, q.region) for q in found] == [(("where is a red?",), BALL, 0)]
    assert len(of((CUBE, "b", ()), (CUBE, "b", ()))["where"]) == 2  # one thing, told twice


def test_what_is_the_name_of_a_box_which_is_a_phrase_without_a_flipped_form():
    found = of((BALL, "a red", ()), (BALL, "the red left of it", ("the red right of it",)))["what"]
    assert [(q.asked, q.answer) for q in found] == [(("what is at", BALL, "?"), "a red")]
    found = of((BALL, "a red", ()), (BALL, "a ball", ()), (CUBE, "b", ()), (CUBE, "b", ()))["what"]
    assert [q.answer for q in found] == ["b", "b"]  # of two names neither is the one right answer


def test_whether_a_phrase_is_true_of_its_box_of_which_half_are_flipped():
    asked = [of((CUBE, "left", ("right", "behind")), seed=i)["whether"] for i in range(300)]
    found = [(q.asked, q.answer) for [q] in asked]
    assert set(found) == {
        (("is", CUBE, "left?"), "yes"),
        (("is", CUBE, "right?"), "no"),
        (("is", CUBE, "behind?"), "no"),
    }
    assert 120 < sum(answer == "yes" for _, answer in found) < 180


def test_a_question_grounds_where_a_box_is_said_in_the_answer_or_on_the_way_to_it():
    found = of((BALL, "a red", ()), (CUBE, "left", ("right",)))
    grounds = {kind: {q.grounds for q in questions} for kind, questions in found.items()}
    assert grounds == {"where": {True}, "what": {False}, "whether": {False}}
    assert Question("x", ("how many?",), "two", 0, (("at", BALL, "and", CUBE),)).grounds
    assert not Question("x", ("is", BALL, "red?"), "yes", 0, (("it is dark",),)).grounds
