"""One random order of a picture's tokens, and of nothing else."""

from contextlib import contextmanager

import torch

from cloc.decoder.vlm.asked import ask
from cloc.decoder.vlm.entering import DEEP, EMBEDDINGS, entering
from cloc.decoder.vlm.gaze import first_token
from cloc.decoder.vlm.permute import order_of, permuted
from tests.decoder.vlm.conftest import QUESTIONS, photos


@contextmanager
def into(vlm, found):
    with entering(vlm, lambda given: found.append(given) or {}):
        yield


def entered(vlm, asked, seed=None):
    """What goes in: behind the permutation, if there is one."""
    found = []
    if seed is None:
        with into(vlm, found):
            first_token(vlm, asked)
    else:
        with permuted(vlm, asked, seed=seed), into(vlm, found):
            first_token(vlm, asked)
    return found[0]


def test_tokens_of_each_picture_are_in_another_order_and_words_stay(vlm, asked):
    plain, moved = entered(vlm, asked), entered(vlm, asked, seed=3)
    x, y = plain[EMBEDDINGS], moved[EMBEDDINGS]
    assert y[~asked.picture].equal(x[~asked.picture])
    start = 0
    for row, count in enumerate(asked.picture.sum(1).tolist()):
        order = order_of(count, seed=3)
        assert y[row, asked.picture[row]].equal(x[row, asked.picture[row]][order])
        for before, after in zip(plain[DEEP], moved[DEEP], strict=True):
            own = slice(start, start + count)
            assert after[own].equal(before[own][order])
        start += count
    assert not y.equal(x)


def test_the_order_is_that_of_its_seed(vlm, asked):
    one, same, other = (entered(vlm, asked, seed=seed)[EMBEDDINGS] for seed in (3, 3, 4))
    assert one.equal(same)
    assert not one.equal(other)
    assert sorted(order_of(16, seed=0).tolist()) == list(range(16))


def test_answers_change_and_nothing_stays(vlm, asked):
    plain = first_token(vlm, asked)
    with permuted(vlm, asked, seed=0):
        moved = first_token(vlm, asked)
    assert not moved.allclose(plain)
    assert first_token(vlm, asked).equal(plain)


def test_a_batch_is_permuted_as_each_alone(vlm, asked):
    with permuted(vlm, asked, seed=0):
        found = first_token(vlm, asked)
    for row in range(3):
        alone = ask(vlm, photos()[row : row + 1], QUESTIONS[row : row + 1])
        with permuted(vlm, alone, seed=0):
            torch.testing.assert_close(first_token(vlm, alone)[0], found[row], rtol=1e-3, atol=1e-4)
