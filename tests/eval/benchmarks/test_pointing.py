"""The pointing game by hand, and by a count of one's own."""

import numpy as np
import pytest

from cloc.eval.benchmarks.pointing import Pointing
from tests.helpers.oracle import Constant, example, split
from tests.helpers.region_mocks import Hashed, Opposite, Shares

SPLIT = split(
    example(("red", (0, 0, 16, 16)), ("blue", (16, 16, 32, 32)))._replace(key="a"),
    example(),
    example(("green", (0, 0, 32, 12)))._replace(key="b"),
)


def test_the_mocks():
    found = Pointing(batch_size=1).run(Shares(), SPLIT)
    assert (found["acc"], found["acc_ceiling"]) == (1, 1)
    assert Pointing().run(Opposite(), SPLIT)["acc"] == 0
    assert Pointing().run(Constant(), SPLIT)["acc"] == 0  # every cell ties


def test_the_lines_are_a_random_cell_and_the_middle_of_the_picture():
    found = Pointing(cells=4).run(Constant(), SPLIT)
    # a quarter of the cells twice; of four rows of cells the middle of one lies above 12 pixels
    # (at 4 and 12: the edge counts)
    assert found["acc_random_point"] == pytest.approx((1 / 4 + 1 / 4 + 2 / 4) / 3)
    assert found["acc_centre_point"] == pytest.approx(2 / 3)  # the corner of two boxes
    assert found["acc_chance"] == found["acc_centre_point"]


def test_by_a_count_of_ones_own():
    encoder, cells = Hashed(), 5
    right = []
    for one in SPLIT.examples:
        size = np.array(one.image.size)
        for phrase, box in zip(one.phrases, one.boxes, strict=True):
            best, hit = -2.0, False
            for row in range(cells):
                for column in range(cells):
                    x, y = (np.array([column, row]) + 0.5) / cells * size
                    reach = 1.5 / cells * size
                    around = np.array([x - reach[0], y - reach[1], x + reach[0], y + reach[1]])
                    score = encoder.text(phrase) @ encoder.region(
                        one.image, around.clip(0, [*size, *size])
                    )
                    inside = box[0] <= x <= box[2] and box[1] <= y <= box[3]
                    best, hit = max((best, hit), (score, inside))
            right.append(hit)
    assert Pointing(cells=cells).run(encoder, SPLIT)["acc"] == pytest.approx(np.mean(right))
    assert 0 < np.mean(right) < 1


def test_a_box_without_the_middle_of_a_cell_cannot_be_hit():
    tiny = split(example(("red", (9, 9, 15, 15))))
    found = Pointing(cells=4).run(Shares(), tiny)  # middles at 4, 12, 20, 28
    assert found["acc_ceiling"] == 1
    found = Pointing(cells=2).run(Shares(), tiny)  # middles at 8 and 24
    assert (found["acc"], found["acc_ceiling"]) == (0, 0)


def test_any_box_of_a_phrase_will_do_and_it_is_one_query():
    twice = split(example(("red", (0, 0, 8, 8)), ("red", (16, 16, 32, 32)))._replace(key="t"))
    found = Pointing(cells=4).run(Shares(), twice)
    assert found["acc"] == 1
    assert found.figures.cases["acc"].names == ["t:0"]
    assert found["acc_random_point"] == pytest.approx((1 + 4) / 16)


def test_without_phrases_there_is_nothing_to_measure():
    assert Pointing().run(Shares(), split(example())) == {}
