"""Questions of a batch as columns."""

import torch

from cloc.data.samples.asked import Asked, columns

FIRST, SECOND = Asked((1, 2, 3), (4, 5)), Asked((6,), tuple(range(7, 16)))


def test_rows_are_padded_on_the_right_to_a_multiple():
    found = columns([(FIRST,), (SECOND,)], slots=1)
    assert found["question"].shape == (2, 1, 16)
    assert found["question"][0, 0].tolist() == [1, 2, 3, 4, 5, *[0] * 11]
    assert found["question_valid"].sum(-1).tolist() == [[5], [10]]
    assert found["answer_at"][0, 0].tolist() == [3, 4, *[-1] * 7]
    assert found["answer_at"][1, 0].tolist() == [*range(1, 10)]


def test_the_answers_tokens_are_where_it_says():
    rows = [(FIRST, SECOND), (SECOND, FIRST)]
    found = columns(rows, slots=2)
    for own, tokens, at in zip(rows, found["question"], found["answer_at"], strict=True):
        for one, row, places in zip(own, tokens, at, strict=True):
            assert tuple(row[places[places >= 0]].tolist()) == one.answer


def test_a_slot_without_a_question_has_a_token_and_no_answer():
    found = columns([(), (FIRST,)], slots=2)
    assert found["question_valid"].sum(-1).tolist() == [[1, 1], [5, 1]]
    assert (found["answer_at"] >= 0).sum(-1).tolist() == [[0, 0], [2, 0]]
    alone = columns([()], slots=1)
    assert {name: tuple(column.shape) for name, column in alone.items()} == {
        "question": (1, 1, 8),
        "question_valid": (1, 1, 8),
        "answer_at": (1, 1, 1),
        "answer_step": (1, 1, 1),
        "is_asked": (1, 1),
        "grounds": (1, 1),
    }
    assert alone["question"].dtype == torch.long


def test_the_numbers_of_the_steps_of_an_answer():
    found = columns([(Asked((1,), (2, 3, 4, 5), (1, 3)), Asked((1,), (2, 3))), ()], slots=2)
    assert found["answer_step"].tolist() == [
        [[0, 1, 1, 1], [0, 0, -1, -1]],
        [[-1] * 4, [-1] * 4],
    ]
    assert (found["answer_step"] >= 0).equal(found["answer_at"] >= 0)


def test_whether_it_tells_where_something_is_is_false_without_a_question():
    found = columns([(Asked((1,), (2,), grounds=True), Asked((1,), (2,))), ()], slots=2)
    assert found["grounds"].tolist() == [[True, False], [False, False]]


def test_where_there_is_no_answer_only_the_question_is_there():
    found = columns([(Asked((1, 4, 5), (), grounds=True), Asked((1,), (2,)))], slots=3)
    assert found["question_valid"].sum(-1).tolist() == [[3, 2, 1]]
    assert (found["answer_at"] >= 0).sum(-1).tolist() == [[0, 1, 0]]
    assert found["is_asked"].tolist() == [[True, True, False]]
    assert found["grounds"].tolist() == [[True, False, False]]
