"""A small version of the parity matrix (`make faults` runs the large one)."""

import pytest
import torch

from tests.faults import parity


@pytest.mark.rare
@pytest.mark.slow
@pytest.mark.dist
def test_two_ranks_in_two_pieces_give_the_gradients_of_one_process():
    names = ("all three", "image_text_sigmoid", "region_text cosine with negatives")
    names = (*names, "distill_image", "clipself", "region_hard_negatives")
    found = parity.run((1, 2), names=names, pieces=(1, 2), dtypes=("float64",))
    assert found["wrong"] == []
    parts = found["largest"]["float64"]
    assert set(parts) == {"loss", "logs", *parity.PARTS}
    assert all(0 < parts[part] < 1e-12 for part in parity.PARTS)  # two sums, never the same one


def test_an_error_is_relative_and_infinite_where_nothing_is_expected():
    rows = torch.tensor([3.0, 4.0])
    assert parity.error(rows * 1.5, rows) == pytest.approx(0.5)
    assert parity.error(rows * 0, rows * 0) == 0
    assert parity.error(rows, rows * 0) == float("inf")
    assert parity.error(rows * float("nan"), rows) == float("inf")
