"""Directions of rotation that are learned, per layer and head."""

import torch
from timm.layers import create_rope_embed

from cloc.models.positions.rotary.mixed import Mixed
from tests.helpers.rotations import CPU, angles, by_offset, logits, on


def test_angles_are_those_of_timm_with_the_same_frequencies():
    theirs = create_rope_embed("mixed", dim=64, num_heads=4, depth=1, feat_shape=[3, 5])
    own = Mixed(16, 4)
    own.frequencies.data = theirs.freqs.data[:, 0].view(2, 4, 8).clone()
    sin, cos = theirs.get_embed([3, 5])[0].chunk(2, -1)
    found = angles(own, 3, 5).repeat_interleave(2, -1)
    torch.testing.assert_close(found.sin(), sin, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.cos(), cos, rtol=0, atol=1e-5)


def test_it_starts_with_two_axes_at_a_right_angle_and_the_magnitudes_of_the_base():
    torch.manual_seed(0)
    x, y = Mixed(16, 4).frequencies.data
    magnitude = torch.tensor([10 ** (-m / 4) for m in range(4)]).repeat(2)
    assert torch.allclose((x**2 + y**2).sqrt(), magnitude.expand(4, 8), atol=1e-6)
    dot = x[:, :4] * x[:, 4:] + y[:, :4] * y[:, 4:]
    assert torch.allclose(dot, torch.zeros(4, 4), atol=1e-6)
    assert len({round(float(v), 4) for v in x[:, 0]}) == 4  # a turn of its own for every head


def test_frequencies_learn_and_a_logit_hangs_on_the_offset_alone():
    own = Mixed(16, 2)
    own(on(3, 5), CPU).sin().sum().backward()
    assert own.frequencies.grad.abs().min() > 0
    for found in by_offset(logits(own, 3, 5, 16, heads=2), 3, 5).values():
        assert torch.allclose(found, found[:1], atol=1e-4)
