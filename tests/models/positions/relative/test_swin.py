"""A bias for every offset, as timm and BEiT have it."""

import torch
from timm.layers import RelPosBias

from cloc.models.positions.relative.swin import Swin, resampled
from tests.helpers.rotations import CPU, on


def biased(own, rows, columns, heads=3):
    q = torch.zeros(1, heads, rows * columns + 1, 8)
    place = on(rows, columns)
    place = place._replace(buckets=place.of_kept(own.buckets(place, CPU)))
    return own.bias(q, q, place)[0]


def test_the_bias_is_that_of_timm_with_a_class_token():
    for grid in ((4, 4), (3, 5)):
        theirs, own = RelPosBias(grid, 3, prefix_tokens=1), Swin(8, 3, grid=grid)
        torch.nn.init.normal_(theirs.relative_position_bias_table)
        table = theirs.relative_position_bias_table.data.T
        # theirs counts from the key to the query, so the offsets run the other way
        own.table.data = torch.cat([table[:, :-3].flip(1), table[:, -3:]], 1)
        torch.testing.assert_close(biased(own, *grid), theirs.get_bias()[0], rtol=0, atol=1e-6)


def test_another_grid_gets_a_table_that_is_resampled():
    own = Swin(8, 1, grid=(3, 3))
    torch.nn.init.normal_(own.table)
    assert own.fitted(3, 3) is own.table
    ramp = torch.cat([torch.arange(5.0).repeat(5)[None], torch.tensor([[7.0, 8, 9]])], 1)
    wide = resampled(ramp, (3, 3), (3, 5))
    assert wide.shape == (1, 5 * 9 + 3)
    assert wide[0, -3:].tolist() == [7, 8, 9]
    inside = wide[0, :-3].view(5, 9)
    assert torch.allclose(inside, inside[:1], atol=1e-5)  # columns are not rows
    assert (inside[0].diff() > 0).all()
    assert biased(own, 3, 5, heads=1).shape == (1, 16, 16)
