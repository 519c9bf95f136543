"""How far the key of a pair stands from the query."""

import torch

from cloc.models.positions.relative.offsets import offsets, with_prefix
from tests.helpers.rotations import CPU
from tests.helpers.rotations import offsets as by_hand


def test_offsets_are_rows_down_and_columns_right_of_the_key():
    y, x = offsets(2, 3, CPU)
    expected = torch.tensor(by_hand(2, 3))
    assert torch.equal(y, expected[..., 0])
    assert torch.equal(x, expected[..., 1])


def test_tokens_that_stand_nowhere_come_first():
    def mark(whole):
        whole[:2] = 9

    found = with_prefix(torch.tensor([[1, 2], [3, 4]]), 2, mark)
    assert found.tolist() == [[9, 9, 9, 9], [9, 9, 9, 9], [0, 0, 1, 2], [0, 0, 3, 4]]
