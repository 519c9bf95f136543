"""1-D positions over the flattened grid, and what is wrong with them."""

import torch

from cloc.models.positions.rotary.flattened import Flattened
from tests.helpers.rotations import angles, logits


def test_angle_is_the_index_times_the_frequency():
    found = angles(Flattened(8, 2), 3, 4)
    assert found.shape == (1, 12, 4)
    assert torch.allclose(found[0, 7], 7 * torch.tensor([1.0, 0.1, 0.01, 0.001]))


def test_a_step_down_means_another_thing_at_another_width():
    own = Flattened(8, 1)
    narrow, wide = logits(own, 4, 4, 8)[0], logits(own, 4, 6, 8)[0]
    assert torch.allclose(narrow[0, 1], wide[0, 1], atol=1e-5)  # a step to the right
    assert not torch.allclose(narrow[0, 4], wide[0, 6], atol=1e-2)  # a step down
