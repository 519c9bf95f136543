"""Pairs of channels turned by an angle."""

import math

import torch
from timm.layers import apply_rot_embed_cat

from cloc.models.positions.rotary.rotate import frequencies, rotate


def test_channels_2m_and_2m_plus_1_are_turned_by_the_angle_and_keep_their_length():
    x = torch.tensor([1.0, 0.0, 0.0, 2.0]).view(1, 1, 1, 4)
    turned = rotate(x, torch.tensor([math.pi / 2, math.pi]).view(1, 1, 1, 2))
    assert torch.allclose(turned.flatten(), torch.tensor([0.0, 1.0, 0.0, -2.0]), atol=1e-6)
    x, angles = torch.randn(2, 3, 5, 8), torch.randn(1, 1, 5, 4) * 9
    assert torch.allclose(rotate(x, angles).norm(dim=-1), x.norm(dim=-1), atol=1e-5)


def test_it_is_timms_interleaved_layout():
    x, angles = torch.randn(2, 3, 5, 8), torch.randn(5, 4) * 9
    both = angles.repeat_interleave(2, -1)
    theirs = apply_rot_embed_cat(x, torch.cat([both.sin(), both.cos()], -1))
    torch.testing.assert_close(rotate(x, angles[None, None]), theirs, rtol=0, atol=1e-6)


def test_a_position_is_not_lost_in_bfloat16():
    """200 and 201 are one number in eight bits."""
    x = torch.ones(1, 1, 1, 2, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        one, other = (rotate(x, torch.full((1, 1, 1, 1), angle)) for angle in (200.0, 201.0))
    assert one.dtype == torch.bfloat16
    assert not torch.allclose(one, other, atol=0.1)


def test_frequencies_from_one_down():
    own = frequencies(4, 10_000.0)
    assert torch.allclose(own, torch.tensor([1.0, 0.1, 0.01, 0.001]))
