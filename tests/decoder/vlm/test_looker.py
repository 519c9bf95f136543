"""Which tokens lie in boxes, whatever stands before and behind them."""

import numpy as np
import torch

from cloc.decoder.vlm.looker import inside_of

PICTURE = torch.tensor([[0, 1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 0]]).bool()
GRIDS = [(2, 2), (1, 4)]
LEFT, NOWHERE = np.array([[0, 0, 0.5, 0.5]]), np.zeros((0, 4))


def test_tokens_inside_are_those_of_patches_whose_middle_lies_in_a_box():
    found = inside_of(PICTURE, GRIDS, [LEFT, np.array([[0, 0, 0.5, 1]])])
    assert found.int().tolist() == [[0, 1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0]]
    assert not inside_of(PICTURE, GRIDS, [NOWHERE, NOWHERE]).any()


def test_none_are_inside_where_tokens_lie_nowhere():
    assert not inside_of(PICTURE, None, [LEFT, LEFT]).any()
