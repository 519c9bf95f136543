"""Questions about pictures, in batches and one by one."""

import pytest
import torch

from cloc.decoder.connector import Connector
from cloc.decoder.prefix_lm import PrefixLM
from cloc.decoder.vlm import VLM
from cloc.models.tower_build import make_tower
from tests.helpers.models import NATIVE, random_pixels

KINDS = ["flat", "axial", "mrope"]


def vlm(kind="mrope", layers=None, **more):
    torch.manual_seed(0)
    tower = make_tower(NATIVE)
    if layers:
        tower.read_layers(layers)
    language = PrefixLM(30, width=32, layers=2, num_heads=2, rotary={"kind": kind})
    found = VLM(tower, Connector(tower.width * len(layers or [0]), 32, **more), language)
    for name, weight in found.named_parameters():
        if weight.ndim > 1 and not name.startswith("tower"):
            torch.nn.init.normal_(weight, std=0.3)
    return found.eval()


TOKENS = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0], [9, 0, 0, 0]])
VALID = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [32, (48, 32)])
def test_padded_places_change_none_of_the_others(kind, size):
    model, pixels = vlm(kind), random_pixels(0, 3, size=size)
    found = model(pixels, TOKENS, VALID)
    assert model(pixels, TOKENS.masked_fill(~VALID, 11), VALID)[VALID].equal(found[VALID])
    for row, count in enumerate(VALID.sum(1).tolist()):
        own = slice(row, row + 1)
        alone = model(pixels[own], TOKENS[own, :count], VALID[own, :count])
        torch.testing.assert_close(alone[0], found[row, :count], rtol=0, atol=1e-5)


def plain_answer(model, pixels, tokens, most, end):
    """Everything is looked at again for every token."""
    said = []
    while len(said) < most and end not in said:
        row = torch.cat([tokens, torch.tensor(said, dtype=torch.long)])[None]
        said.append(int(model(pixels, row, torch.ones_like(row).bool())[0, -1].argmax()))
    return said


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_whole_passes_one_by_one(kind):
    """Until all have said `end` or `most` tokens; behind its `end` a row holds `end` alone."""
    model, pixels = vlm(kind), random_pixels(0, 3)
    whole = [plain_answer(model, pixels[i : i + 1], TOKENS[i][VALID[i]], 6, 30) for i in range(3)]
    found = model.answer(pixels, TOKENS, VALID, most=6, end=30)
    assert found.tolist() == whole
    assert len({tuple(row) for row in whole}) == 3
    end = whole[0][1]
    found = model.answer(pixels, TOKENS, VALID, most=6, end=end)
    cut = [row[: row.index(end) + 1] if end in row else row for row in whole]
    longest = max(map(len, cut))
    assert found.tolist() == [row + [end] * (longest - len(row)) for row in cut]
    assert model.answer(pixels, TOKENS, VALID, most=0, end=end).shape == (3, 0)


@torch.no_grad()
def test_patches_of_several_blocks_side_by_side():
    model = vlm(layers=[1, 2])
    assert model.patches(random_pixels(0, 2)).shape == (2, 16, 32)


def test_a_frozen_tower_gets_no_gradient_and_all_else_does():
    model = vlm()
    model.tower.requires_grad_(False)
    model(random_pixels(0, 3), TOKENS, VALID)[VALID].square().mean().backward()
    assert all(p.grad is None for p in model.tower.parameters())
    others = [p for name, p in model.named_parameters() if not name.startswith("tower.")]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in others)
