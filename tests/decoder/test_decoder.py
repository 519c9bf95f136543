"""Questions about pictures, in batches and one by one."""

import pytest
import torch

from cloc.decoder.connector import Connector
from cloc.decoder.decoder import Decoder
from cloc.decoder.pin import PIN
from cloc.decoder.prefix_lm import PrefixLM
from cloc.decoder.twin import set_twins
from cloc.models.tower_build import make_tower
from tests.helpers.models import NATIVE, random_pixels

KINDS = ["flat", "axial", "mrope"]


def made(kind="mrope", **more):
    torch.manual_seed(0)
    language = PrefixLM(30, width=32, layers=2, num_heads=2, rotary={"kind": kind})
    found = Decoder(Connector(24, 32, **more), language)
    for weight in found.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return found.eval()


def seen(count=3, grid=(4, 4), seed=0):
    """Patches of so many pictures, and their grid."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, grid[0] * grid[1], 24, generator=generator), grid


def logits(decoder, patches, grid, tokens, valid, **more):
    return decoder.language.logits(decoder(patches, grid, tokens, valid, **more))


TOKENS = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0], [9, 0, 0, 0]])
VALID = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", [(4, 4), (6, 4)])
def test_padded_places_change_none_of_the_others(kind, grid):
    decoder, (patches, _) = made(kind), seen(grid=grid)
    found = decoder(patches, grid, TOKENS, VALID)
    assert decoder(patches, grid, TOKENS.masked_fill(~VALID, 11), VALID)[VALID].equal(found[VALID])
    for row, count in enumerate(VALID.sum(1).tolist()):
        own = slice(row, row + 1)
        alone = decoder(patches[own], grid, TOKENS[own, :count], VALID[own, :count])
        torch.testing.assert_close(alone[0], found[row, :count], rtol=0, atol=1e-5)


def plain_answer(decoder, patches, grid, tokens, most, end, **more):
    """Everything is looked at again for every token."""
    said = []
    while len(said) < most and end not in said:
        row = torch.cat([tokens, torch.tensor(said, dtype=torch.long)])[None]
        told = logits(decoder, patches, grid, row, torch.ones_like(row).bool(), **more)
        said.append(int(told[0, -1].argmax()))
    return said


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_whole_passes_one_by_one(kind):
    """Until all have said `end` or `most` tokens; behind its `end` a row holds `end` alone."""
    decoder, (patches, grid) = made(kind), seen()
    whole = [
        plain_answer(decoder, patches[i : i + 1], grid, TOKENS[i][VALID[i]], 6, 30)
        for i in range(3)
    ]
    found = decoder.answer(patches, grid, TOKENS, VALID, most=6, end=30)
    assert found.tolist() == whole
    assert len({tuple(row) for row in whole}) == 3
    end = whole[0][1]
    found = decoder.answer(patches, grid, TOKENS, VALID, most=6, end=end)
    cut = [row[: row.index(end) + 1] if end in row else row for row in whole]
    longest = max(map(len, cut))
    assert found.tolist() == [row + [end] * (longest - len(row)) for row in cut]
    assert decoder.answer(patches, grid, TOKENS, VALID, most=0, end=end).shape == (3, 0)


@torch.no_grad()
@pytest.mark.parametrize("norm", ["rms_clip", "layernorm"])
def test_with_all_repairs_too_they_are_those_of_whole_passes(norm):
    decoder, (patches, grid) = made(norm=norm), seen()
    decoder.pin = PIN(grid, 24)
    for twin in set_twins(decoder.language, begin="random", every=1):
        torch.nn.init.normal_(twin.new.down.weight, std=1)
    share = torch.tensor([0.0, 0.3, 1.0])
    whole = [
        plain_answer(decoder, one[:1], grid, row[there], 6, 30, share=own[None])
        for one, row, there, own in zip(patches[:, None], TOKENS, VALID, share, strict=True)
    ]
    found = decoder.answer(patches, grid, TOKENS, VALID, most=6, end=30, share=share)
    assert found.tolist() == whole


@torch.no_grad()
def test_it_reads_the_patches_of_a_tower_of_one_block_or_of_several_side_by_side():
    tower, pixels = make_tower(NATIVE), random_pixels(0, 3, size=(48, 32))
    for layers in (None, [1, 2]):
        if layers:
            tower.read_layers(layers, key="decoder.read")
        own = tower.images(pixels).read
        language = PrefixLM(30, width=32, layers=1, num_heads=2)
        decoder = Decoder(Connector(own.shape[-1], 32), language)
        assert decoder(own, tower.grid_at(pixels), TOKENS, VALID).shape == (3, 4, 32)


def test_every_weight_gets_a_gradient():
    decoder = made()
    logits(decoder, *seen(), TOKENS, VALID)[VALID].square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_questions_about_one_picture_do_not_see_each_other(kind):
    """Asked at once as one by one, in any order, the negative log probabilities by definition."""
    decoder, (patches, grid) = made(kind), seen()
    tokens = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0], [9, 10, 11, 0]]).expand(3, 3, 4)
    valid = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]]).bool().expand(3, 3, 4)
    at = torch.tensor([[2, 3], [1, -1], [1, 2]]).expand(3, 3, 2)
    rows = (tokens, valid, at, torch.zeros(3, 3).bool())
    found = decoder.answer_nll(patches, grid, *rows)
    turned = decoder.answer_nll(patches, grid, *(x.flip(1) for x in rows))
    torch.testing.assert_close(turned, found.flip(1))
    for i in range(3):
        told = logits(decoder, patches, grid, tokens[:, i], valid[:, i]).log_softmax(-1)
        for j, place in enumerate(at[0, i].tolist()):
            expected = torch.zeros(3)
            if place >= 0:
                expected = -told[:, place - 1].gather(1, tokens[:, i, place, None])[:, 0]
            torch.testing.assert_close(found[:, i, j], expected, rtol=1e-5, atol=1e-5)
