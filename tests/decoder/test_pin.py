"""A place of its own for every patch, whatever the picture shows."""

import math

import pytest
import torch

from cloc.decoder.pin import PIN
from cloc.errors import UserError
from tests.decoder.test_decoder import TOKENS, VALID, logits, made, seen


@pytest.mark.parametrize(("width", "weights"), [(1024, 1_217_280), (1408, 1_512_576)])
def test_weights_are_as_many_as_the_papers(width, weights):
    pin = PIN((16, 16), width)
    assert sum(p.numel() for p in pin.parameters()) == weights
    learned = PIN((16, 16), width, kind="learned")
    assert sum(p.numel() for p in learned.parameters()) == weights + 256 * 64


def test_the_sinusoid_is_of_the_flattened_index():
    source = PIN((2, 3), 8, channels=4).source
    for index in range(6):
        slow = index / 10_000**0.5
        expected = [math.sin(index), math.cos(index), math.sin(slow), math.cos(slow)]
        assert source[index].tolist() == pytest.approx(expected, abs=1e-6)
    grid = PIN((2, 3), 8, kind="sinus2d", channels=8).source.view(2, 3, 8)
    line = PIN((1, 3), 8, channels=4).source
    assert grid[..., :4].equal(line[:2, None].expand(2, 3, 4))  # of the row
    assert grid[..., 4:].equal(line[None].expand(2, 3, 4))  # of the column


@torch.no_grad()
@pytest.mark.parametrize("kind", ["sinus1d", "sinus2d", "learned"])
def test_it_never_sees_a_picture(kind):
    pin, grid = PIN((2, 8), 8, kind=kind), (2, 8)
    x, y = torch.randn(2, 3, 16, 8)
    torch.testing.assert_close(pin(x, grid) - x, pin(y, grid) - y, atol=1e-6, rtol=0)
    added = (pin(x, grid) - x)[0]
    assert added.std(0).min() > 1e-3  # and is another one at every place


def test_all_but_it_stays_frozen_and_without_it_the_base_is_the_base():
    torch.manual_seed(0)
    decoder, (patches, grid) = made(), seen()
    decoder.requires_grad_(False)
    base = logits(decoder, patches, grid, TOKENS, VALID)
    decoder.pin = PIN((4, 4), 24)
    kept = {n: v.clone() for n, v in decoder.state_dict().items() if not n.startswith("pin.")}
    step = torch.optim.Adam(p for p in decoder.parameters() if p.requires_grad)
    for _ in range(3):
        step.zero_grad()
        logits(decoder, patches, grid, TOKENS, VALID)[VALID].square().mean().backward()
        step.step()
    assert all(decoder.state_dict()[name].equal(value) for name, value in kept.items())
    moved = [p.grad.abs().sum() > 0 for p in decoder.pin.parameters()]
    assert all(moved)
    assert not logits(decoder, patches, grid, TOKENS, VALID).allclose(base)
    decoder.pin = None
    assert logits(decoder, patches, grid, TOKENS, VALID).equal(base)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"kind": "sine"}, r"decoder.pin.kind=sine; choose sinus1d"),
        ({"channels": 7}, r"decoder.pin.channels=7 of kind=sinus1d; give a multiple of 2"),
        ({"channels": -2}, r"decoder.pin.channels=-2 of kind=sinus1d; give a multiple of 2"),
        ({"kind": "sinus2d", "channels": 6}, r"channels=6 of kind=sinus2d; give a multiple of 4"),
        ({"kind": "learned", "channels": 0}, r"channels=0 of kind=learned; give a multiple of 1"),
    ],
)
def test_what_cannot_be_is_one_line(more, says):
    with pytest.raises(UserError, match=says):
        PIN((4, 4), 8, **more)


@pytest.mark.parametrize("grid", [(4, 6), (2, 8), (8, 2)])
def test_pictures_of_another_size_are_told(grid):
    """Also where there are as many patches: their places would be others'."""
    with pytest.raises(UserError, match=rf"for 4 x 4 patches and the picture has {grid[0]} x"):
        PIN((4, 4), 8)(torch.zeros(1, grid[0] * grid[1], 8), grid)
