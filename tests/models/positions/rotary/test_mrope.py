"""Three streams of positions in one rotation."""

import pytest
import torch
from timm.layers import create_rope_embed

from cloc.errors import UserError
from cloc.models.positions.rotary.flattened import Flattened
from cloc.models.positions.rotary.mrope import MRoPE, stream_of
from tests.helpers.rotations import angles, by_offset, logits


def test_interleaved_angles_are_those_of_timm():
    theirs = create_rope_embed("mrope", dim=128, num_heads=2, mrope_section=(8, 12, 12))
    sin, cos = theirs.get_embed([3, 5]).chunk(2, -1)
    own = angles(MRoPE(64, 2, sections=[8, 12, 12]), 3, 5)[0]  # timm has the halves behind another
    torch.testing.assert_close(own.sin(), sin[:, :32], rtol=0, atol=1e-6)
    torch.testing.assert_close(own.cos(), cos[:, :32], rtol=0, atol=1e-6)


def test_chunks_and_interleaving_give_the_axes_other_frequencies():
    assert stream_of("chunked", [2, 3, 3]).tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert stream_of("interleaved", [2, 3, 3]).tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    counts = torch.bincount(stream_of("interleaved", [8, 12, 12])).tolist()
    assert counts == [11, 11, 10]  # not 8, 12, 12: what is published, as it is written
    assert stream_of("head_wise", [1, 2, 1]).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("layout", ["chunked", "interleaved"])
def test_equal_streams_are_the_positions_of_a_text(layout):
    """t = h = w is one-dimensional RoPE, to the bit."""
    own = MRoPE(16, 2, layout=layout)
    index = torch.arange(12.0)[None, :, None].expand(1, 12, 3)
    assert torch.equal(own.angles(index)[0], angles(Flattened(16, 2), 1, 12))


@pytest.mark.parametrize("layout", ["chunked", "interleaved", "head_wise"])
def test_a_still_has_one_time_and_a_logit_hangs_on_the_offset_alone(layout):
    own = MRoPE(16, 4, layout=layout)
    for found in by_offset(logits(own, 3, 5, 16, heads=4), 3, 5).values():
        assert torch.allclose(found, found[:1], atol=1e-4)
    streams = torch.zeros(1, 6, 3)
    streams[..., 1:] = torch.tensor([[i // 3, i % 3] for i in range(6)])
    shifted = streams + torch.tensor([7.0, 0, 0])  # all of it at another time
    turned, later = own.angles(streams), own.angles(shifted)
    changed = ((later - turned).abs() > 1e-6).any(2)
    stream = stream_of(own.layout, own.sections) == 0
    assert torch.equal(changed[0].any(-1) if layout == "head_wise" else changed[0, 0], stream)


def test_every_head_has_one_axis_and_all_frequencies():
    own = angles(MRoPE(8, 3, layout="head_wise", sections=[1, 1, 1]), 2, 3)
    assert own.shape == (3, 6, 4)
    assert torch.equal(own[0], torch.zeros(6, 4))
    assert torch.equal(own[1, :, 0], torch.tensor([0.0, 0, 0, 1, 1, 1]))
    assert torch.equal(own[2, :, 0], torch.tensor([0.0, 1, 2, 0, 1, 2]))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"layout": "spiral"}, "layout=spiral of .*rotary; choose chunked, interleaved, head_wise"),
        ({"sections": [1, 2]}, r"sections=\[1, 2\] of .*rotary: give three whole numbers"),
        ({"sections": [1, 2, 3]}, "whose sum is the 8 pairs of channels of a head"),
        ({"layout": "head_wise", "sections": [1, 2, 2]}, "whose sum is the 4 heads"),
    ],
)
def test_sections_that_do_not_add_up_are_one_line(given, says):
    with pytest.raises(UserError, match=says):
        MRoPE(16, 4, **given)
