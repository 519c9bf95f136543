"""Boxes to phrases and back, with repeated phrases, by hand."""

import pytest
import torch

from cloc.eval.benchmarks.region_retrieval import RegionRetrieval
from tests.helpers.oracle import Constant, Oracle, example, split

LEFT, RIGHT = (0, 0, 8, 8), (24, 0, 32, 8)
SPLIT = split(
    example(("red", LEFT), ("blue", RIGHT)),
    example(),
    example(("red", LEFT), ("green", RIGHT)),
)


class Rotated(Oracle):
    """Says blue for red, green for blue, red for green; ranks of the truth follow by hand."""

    wrong = torch.tensor([[0.6, 0, 0.8, 0], [0, 1, 0, 0], [0, 1, 0, 0]])

    def regions(self, x, boxes, valid):
        colour = super().regions(x, boxes, valid)[..., :3].argmax(-1)
        out = torch.zeros(*valid.shape, 21)
        out[..., :4] = self.wrong[colour]
        return out


def test_an_oracle_is_perfect_and_chance_counts_the_matches():
    found = RegionRetrieval(ks=(1, 2), batch_size=1).run(Oracle(), SPLIT)
    assert found == pytest.approx(
        {
            "r2t_r@1": 1,
            "r2t_r@1_chance": 1 / 3,
            "r2t_r@2": 1,
            "r2t_r@2_chance": 2 / 3,
            "t2r_r@1": 1,
            "t2r_r@1_chance": (2 / 4 + 1 / 4 + 1 / 4) / 3,
            "t2r_r@2": 1,
            "t2r_r@2_chance": (5 / 6 + 1 / 2 + 1 / 2) / 3,
        }
    )


def test_ties_count_against():
    found = RegionRetrieval(ks=(1,)).run(Constant(), SPLIT)
    assert found["r2t_r@1"] == found["t2r_r@1"] == 0


def test_by_hand():
    found = RegionRetrieval(ks=(1, 2)).run(Rotated(), SPLIT)
    # red boxes: blue first, red second. The blue box answers green. The green box answers green.
    assert found["r2t_r@1"] == pytest.approx(1 / 4)
    assert found["r2t_r@2"] == pytest.approx(3 / 4)
    # "red" finds a red box first; "blue" prefers two red boxes; "green" ties with the blue box.
    assert found["t2r_r@1"] == pytest.approx(1 / 3)
    assert found["t2r_r@2"] == pytest.approx(2 / 3)


def test_empty_where_no_box_exists():
    assert RegionRetrieval().run(Oracle(), split(example())) == {}
