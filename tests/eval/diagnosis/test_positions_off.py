"""Encodings of position turned off, by what then changes and what comes back."""

import pytest
import torch

from cloc.eval.diagnosis.positions_off import without_positions
from cloc.models.build import build_model
from tests.helpers.models import EVA, NATIVE, SIGLIP, TEXT, TIMM, random_pixels

ENCODINGS = [
    {},
    {"absolute": "sincos", "relative": "swin"},
    {"relative": "shaw", "rotary": "axial"},
    {"absolute": "none", "rotary": "mixed", "relative": "irpe"},
]


def trunk(name, size):
    vision = {"timm_model_name": name, "image_size": size, "timm_pool": "avg"}
    return {"embed_dim": 24, "vision_cfg": {**TIMM, **vision}, "text_cfg": TEXT}


LIBRARIES = {
    "table": (NATIVE, ["positional_embedding"]),
    "timm": (SIGLIP, ["pos_embed"]),
    "eva": (EVA, ["pos_embed"]),
    "eva02": (trunk("eva02_tiny_patch14_224", 28), ["pos_embed", "rope"]),
    "mixed": (trunk("vit_small_patch16_rope_mixed_224", 64), ["rope"]),
    "dinov3": (trunk("vit_small_patch16_dinov3", 64), ["rope"]),
}


def made(config, positions=None):
    """With every weight random, those too that begin with nothing."""
    torch.manual_seed(0)
    tower = build_model({"config": config, "positions": positions}).eval().tower
    with torch.no_grad():
        for weight in tower.clip.visual.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return tower


def tokens(tower, order=None):
    x = random_pixels(0, 1, tower.image_size)
    if order is not None:
        rows, columns = tower.grid
        side = x.shape[2] // rows
        cells = x.unfold(2, side, side).unfold(3, side, side).flatten(2, 3)[:, :, order]
        cells = cells.unflatten(2, (rows, columns)).transpose(3, 4)
        x = cells.reshape(x.shape)
    with torch.no_grad():
        return tower.images(x).tokens


def order_error(tower, num_patches):
    """Of tokens from following their patches, over how far they are apart."""
    order = torch.randperm(num_patches, generator=torch.Generator().manual_seed(0))
    plain, moved = tokens(tower), tokens(tower, order)
    return float((moved - plain[:, order]).norm() / (plain - plain.mean(1)).norm())


def look(tower, module, expected):
    before = tokens(tower)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    knows = order_error(tower, before.shape[1])
    with without_positions(module, before.shape[1]) as found:
        off, forgets = tokens(tower), order_error(tower, before.shape[1])
    assert [name for name in expected if name not in found] == []
    assert forgets < 1e-4 < 1e-2 < knows
    assert not torch.equal(off, before)
    assert torch.equal(tokens(tower), before)  # everything is back
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    return found


@pytest.mark.parametrize("positions", ENCODINGS)
def test_ours(positions):
    tower = made(NATIVE, positions)
    attention = "transformer.resblocks.1.attn"
    parts = [f"{attention}.{kind}" for kind in ("rotary", "relative") if kind in positions]
    assert look(tower, tower.clip.visual, ["positional_embedding", *parts])


@pytest.mark.parametrize("name", LIBRARIES)
def test_of_other_libraries(name):
    config, expected = LIBRARIES[name]
    tower = made(config)
    module = getattr(tower.clip.visual, "trunk", tower.clip.visual)
    assert look(tower, module, expected) == expected


def test_relative_biases_of_timm():
    tower = made(trunk("vit_relpos_small_patch16_224", 64))
    assert len(look(tower, tower.clip.visual.trunk, ["blocks.0.attn.rel_pos.mlp.fc2.weight"])) == 12


def test_the_row_of_the_class_token_stays():
    tower = made(NATIVE)
    table = tower.clip.visual.positional_embedding
    with without_positions(tower.clip.visual, 16):
        assert float(table[0].abs().min()) > 0
        assert float(table[1:].abs().max()) == 0


def test_weights_come_back_after_trouble():
    tower = made(NATIVE, {"rotary": "axial"})
    before = tokens(tower)
    with pytest.raises(KeyError), without_positions(tower.clip.visual, 16):
        raise KeyError
    assert torch.equal(tokens(tower), before)
