"""Half of the pairs turn with the column, half with the row."""

import pytest
import torch
from timm.layers import create_rope_embed

from cloc.models.positions.rotary.axial import Axial
from tests.helpers.rotations import angles, by_offset, logits


@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (5, 2)])
@pytest.mark.parametrize("base", [100.0, 10_000.0])
def test_angles_are_those_of_timm(grid, base):
    given = {"in_pixels": False, "temperature": base, "grid_indexing": "xy"}
    theirs = create_rope_embed("cat", dim=64, num_heads=4, feat_shape=list(grid), **given)
    sin, cos = theirs.get_embed().chunk(2, -1)
    own = angles(Axial(16, 4, base=base), *grid)[0].repeat_interleave(2, -1)
    torch.testing.assert_close(own.sin(), sin, rtol=0, atol=1e-6)
    torch.testing.assert_close(own.cos(), cos, rtol=0, atol=1e-6)


@pytest.mark.parametrize("grid", [(4, 4), (3, 6)])
def test_a_logit_hangs_on_the_offset_alone(grid):
    for own in by_offset(logits(Axial(16, 1), *grid, 16), *grid).values():
        assert torch.allclose(own, own[:1], atol=1e-4)


def test_a_step_down_is_the_same_at_every_width_and_no_step_to_the_right():
    narrow, wide = (by_offset(logits(Axial(16, 1), 4, w, 16), 4, w) for w in (4, 6))
    for offset, own in narrow.items():
        assert torch.allclose(own[0], wide[offset][0], atol=1e-4)
    assert not torch.allclose(narrow[1, 0][0], narrow[0, 1][0], atol=1e-2)
