"""The continuous bias, as timm has it up to a constant."""

import torch
from timm.layers import RelPosMlp

from cloc.models.positions.relative.swin_v2 import SwinV2
from tests.helpers.rotations import CPU, on


def biased(own, rows, columns, heads=3):
    q = torch.zeros(1, heads, rows * columns + 1, 8)
    place = on(rows, columns)
    place = place._replace(buckets=place.of_kept(own.buckets(place, CPU)))
    return own.bias(q, q, place)[0].detach()


def test_among_patches_the_bias_is_that_of_timm_less_eight():
    for grid in ((4, 4), (3, 5)):
        theirs = RelPosMlp(grid, 3, hidden_dim=16, mode="swin", prefix_tokens=1).eval()
        own = SwinV2(8, 3, grid=grid, hidden=16)
        torch.nn.init.normal_(theirs.mlp.fc2.weight)
        own.first.load_state_dict(theirs.mlp.fc1.state_dict())
        own.last.load_state_dict({"weight": theirs.mlp.fc2.weight})
        flipped = biased(own, *grid)[:, 1:, 1:].mT  # theirs counts from the key to the query
        wanted = theirs.get_bias()[0, :, 1:, 1:] - 8
        torch.testing.assert_close(flipped, wanted, rtol=0, atol=2e-5)
        assert not biased(own, *grid)[:, 0].any()


def test_a_last_layer_of_zero_is_no_bias_and_another_grid_has_an_answer():
    own = SwinV2(8, 3, grid=(4, 4), hidden=16)
    small, large = biased(own, 4, 4), biased(own, 4, 6)
    assert large.shape == (3, 25, 25)
    assert torch.allclose(small[:, 1, 2], large[:, 1, 2])  # the same offset, the same bias
    torch.nn.init.zeros_(own.last.weight)
    assert not biased(own, 4, 4).any()
