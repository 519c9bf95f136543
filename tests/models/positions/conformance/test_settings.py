"""What published models have, and the truth against one pair by hand."""

import math

import pytest
import torch

from cloc.models.positions.conformance.settings import (
    PUBLISHED,
    axes,
    channels,
    frequencies,
    turned,
)
from cloc.models.positions.rotary.mrope import stream_of
from tests.models.positions.conformance.engines import SMALL

NAMED = {own.name: own for own in PUBLISHED}


@pytest.mark.parametrize("name", NAMED)
def test_published_settings_can_be(name):
    assert NAMED[name].problem() == ""


@pytest.mark.parametrize(
    ("name", "counts", "first"),
    [
        ("qwen2_vl", [16, 24, 24], [0] * 6),
        ("qwen3_vl", [24, 20, 20], [0, 1, 2, 0, 1, 2]),
        ("qwen3_5", [11, 11, 10], [0, 1, 2, 0, 1, 2]),
        ("glm4v", [8, 12, 12], [0] * 6),
        ("genlip", [11, 11, 10], [0, 1, 2, 0, 1, 2]),  # and not 8, 12 and 12
    ],
)
def test_how_many_pairs_each_axis_has(name, counts, first):
    own = axes(NAMED[name], 4)
    assert own.shape == (4, sum(counts))
    assert torch.equal(own[3], own[0])
    assert torch.bincount(own[0]).tolist() == counts
    assert own[0, :6].tolist() == first
    settings = NAMED[name]
    assert torch.equal(own[0], stream_of(settings.layout, settings.sections))


def test_heads_of_one_key_head_have_its_axis():
    own = axes(NAMED["mhrope"], 16)
    assert own[:, 0].tolist() == [0] * 4 + [1] * 6 + [2] * 6
    assert torch.equal(own, own[:, :1].expand(-1, 64))


@pytest.mark.parametrize("name", SMALL)
def test_one_pair_by_hand(name):
    settings = SMALL[name]
    positions = torch.tensor([3, 5, 7]).view(3, 1, 1)
    x = torch.randn(1, settings.heads, 1, settings.dim)
    found, own = turned(x, positions, settings), axes(settings, settings.heads)
    first, second = channels(settings)
    for head, m in ((0, 1), (settings.heads - 1, 9)):
        a, b = (float(x[0, head, 0, c[m]]) for c in (first, second))
        angle = (3, 5, 7)[own[head, m]] * settings.base ** (-m / settings.num_pairs)
        wanted = (
            a * math.cos(angle) - b * math.sin(angle),
            a * math.sin(angle) + b * math.cos(angle),
        )
        assert found[0, head, 0, [first[m], second[m]]].tolist() == pytest.approx(wanted)
    assert torch.equal(found[..., settings.rotary_dim :], x[..., settings.rotary_dim :].double())


def test_pairs_are_halves_of_what_turns_or_neighbours():
    assert [c[3].item() for c in channels(SMALL["partial"])] == [3, 19]
    assert [c[3].item() for c in channels(SMALL["adjacent"])] == [6, 7]
    assert frequencies(SMALL["partial"])[8].item() == pytest.approx(1e-2)
