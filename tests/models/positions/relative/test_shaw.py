"""A vector per clipped offset, on keys and values: equations 3 and 4 in a loop."""

import pytest
import torch

from cloc.errors import UserError
from cloc.models.positions.relative.shaw import Shaw
from tests.helpers.rotations import CPU, offsets, on


def test_keys_and_values_are_those_of_the_equations():
    torch.manual_seed(0)
    own, place = Shaw(8, 2, reach=2), on(3, 4)
    for table in own.parameters():
        torch.nn.init.normal_(table)
    place = place._replace(buckets=place.of_kept(own.buckets(place, CPU)))
    q, k, shares = torch.randn(2, 2, 13, 8), torch.randn(2, 2, 13, 8), torch.rand(2, 2, 13, 13)
    expected, values = torch.zeros(2, 2, 13, 13), torch.zeros(2, 2, 13, 8)
    where = offsets(3, 4)
    for i in range(13):
        for j in range(13):
            b = 25
            if i and j:
                y, x = (max(-2, min(2, d)) for d in where[i - 1][j - 1])
                b = (y + 2) * 5 + x + 2
            expected[:, :, i, j] = q[:, :, i] @ own.keys[0, :, b] / 8**0.5
            values[:, :, i] += shares[:, :, i, j, None] * own.of_values[0, :, b]
    torch.testing.assert_close(own.bias(q, k, place), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(own.values(shares, place), values, rtol=1e-4, atol=1e-4)


def test_offsets_beyond_the_reach_count_as_the_reach():
    found = Shaw(8, 1, reach=2).buckets(on(1, 6), CPU)[0, 1:, 1:]
    assert found[0].tolist() == [12, 13, 14, 14, 14, 14]
    with pytest.raises(UserError, match=r"reach=0 of .*relative; give 1 or more"):
        Shaw(8, 1, reach=0)
