"""Coordinates of the box, and what training does to them."""

import pytest
import torch
from timm.layers import create_rope_embed

from cloc.errors import UserError
from cloc.models.positions.rotary.dinov3 import DINOv3
from tests.helpers.rotations import angles


@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (6, 2)])
@pytest.mark.parametrize("normalize", ["separate", "max", "min"])
def test_angles_are_those_of_timm(grid, normalize):
    theirs = create_rope_embed(
        "dinov3",
        dim=64,
        num_heads=4,
        feat_shape=list(grid),
        normalize_coords=normalize,
        rotate_half=False,
    )
    sin, cos = theirs.get_embed(list(grid)).chunk(2, -1)
    own = angles(DINOv3(16, 4, normalize=normalize).eval(), *grid)[0].repeat_interleave(2, -1)
    torch.testing.assert_close(own.sin(), sin, rtol=0, atol=1e-5)
    torch.testing.assert_close(own.cos(), cos, rtol=0, atol=1e-5)


def test_the_box_is_the_same_whatever_the_grid():
    corner, finer = (angles(DINOv3(16, 1).eval(), n, n)[0] for n in (2, 4))
    middle = finer.view(4, 4, 8)[:2, :2].mean((0, 1))
    assert torch.allclose(corner[0], middle, atol=1e-5)


def test_shift_jitter_and_rescale_are_of_training_alone_and_drawn_from_the_seed():
    plain = angles(DINOv3(16, 1).eval(), 3, 4)
    for name, value in (("shift", 0.3), ("jitter", 2.0), ("rescale", 2.0)):
        own = DINOv3(16, 1, **{name: value})
        assert torch.equal(angles(own.eval(), 3, 4), plain)
        drawn = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            drawn.append(angles(own.train(), 3, 4))
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[0], drawn[2])
        assert not torch.equal(drawn[0], plain)


def test_rescale_is_one_factor_of_both_axes_jitter_is_two_and_shift_adds():
    torch.manual_seed(0)
    plain = angles(DINOv3(16, 1).eval(), 3, 4)
    factor = angles(DINOv3(16, 1, rescale=2.0).train(), 3, 4) / plain
    seen = factor[plain.abs() > 1e-6]
    assert torch.allclose(seen, seen[:1], atol=1e-5)
    assert 0.5 <= seen[0] <= 2
    factor = (angles(DINOv3(16, 1, jitter=2.0).train(), 3, 4) / plain)[0]
    rows, columns = factor[0, :4], factor[0, 4:]
    assert torch.allclose(rows, rows[:1], atol=1e-5)
    assert torch.allclose(columns, columns[:1], atol=1e-5)
    assert not torch.allclose(rows[0], columns[0], atol=1e-3)
    added = (angles(DINOv3(16, 1, shift=0.3).train(), 3, 4) - plain)[0]
    assert torch.allclose(added, added[:1].expand_as(added), atol=1e-5)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"normalize": "both"}, "normalize=both of .*rotary; choose separate, max or min"),
        ({"jitter": 0.5}, "jitter=0.5 of .*rotary: a factor in"),
        ({"rescale": 0.0}, "rescale=0.0 of .*rotary: a factor in"),
    ],
)
def test_what_cannot_be_is_one_line(given, says):
    with pytest.raises(UserError, match=says):
        DINOv3(16, 1, **given)
