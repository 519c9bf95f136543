"""Questions of a batch as columns."""

import torch

from cloc.data.samples.asked import Asked, columns


def test_rows_are_padded_on_the_right_to_a_multiple():
    found = columns([Asked((1, 2, 3), (4, 5)), Asked((6,), tuple(range(7, 16)))])
    assert found["question"].shape == (2, 16)
    assert found["question"][0].tolist() == [1, 2, 3, 4, 5, *[0] * 11]
    assert found["question_valid"].sum(1).tolist() == [5, 10]
    assert found["answer_at"][0].tolist() == [3, 4, *[-1] * 14]
    assert found["answer_at"][1].tolist() == [*range(1, 10), *[-1] * 7]


def test_the_answers_tokens_are_where_it_says():
    rows = [Asked((1, 2, 3), (4, 5)), Asked((6, 7), (8, 9, 10))]
    found = columns(rows)
    for row, tokens, at in zip(rows, found["question"], found["answer_at"], strict=True):
        assert tuple(tokens[at[at >= 0]].tolist()) == row.answer


def test_a_picture_without_a_question_has_a_token_and_no_answer():
    found = columns([None, Asked((1,), (2,))])
    assert found["question_valid"].sum(1).tolist() == [1, 2]
    assert (found["answer_at"][0] == -1).all()
    alone = columns([None])
    assert {name: tuple(x.shape) for name, x in alone.items()} == {
        "question": (1, 8),
        "question_valid": (1, 8),
        "answer_at": (1, 8),
        "answer_step": (1, 8),
        "grounds": (1,),
    }
    assert alone["question"].dtype == torch.long


def test_the_numbers_of_the_steps_of_an_answer():
    found = columns([Asked((1,), (2, 3, 4, 5), (1, 3)), Asked((1,), (2, 3)), None])
    assert found["answer_step"].tolist() == [
        [0, 1, 1, 1, *[-1] * 4],
        [0, 0, *[-1] * 6],
        [-1] * 8,
    ]
    assert (found["answer_step"] >= 0).equal(found["answer_at"] >= 0)


def test_whether_it_tells_where_something_is_is_false_without_a_question():
    found = columns([Asked((1,), (2,), grounds=True), Asked((1,), (2,)), None])
    assert found["grounds"].tolist() == [True, False, False]
