"""Towers at other sizes than their own, against the libraries that resize them on load."""

import copy

import open_clip
import pytest
import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed

from cloc.free_size import free_size, resize_table
from cloc.graph_parts import graph_parts
from cloc.models.tower_build import make_tower
from tests.helpers.models import (
    AVERAGE,
    CONVOLUTIONAL,
    EVA,
    NATIVE,
    SIGLIP,
    make_model,
    random_pixels,
)
from tests.helpers.rows import unit_rows

ROPE = {
    **EVA,
    "vision_cfg": {"timm_model_name": "eva02_tiny_patch14_224", "timm_proj": "linear"},
}


def open_clips_own(config, model, size):
    """The weights in a tower of another size, their position table resized by open_clip."""
    state = model.tower.clip.state_dict()
    other = copy.deepcopy(config)
    other["vision_cfg"]["image_size"] = size
    clip = open_clip.CLIP(**other)
    open_clip.model.resize_pos_embed(state, clip)
    clip.load_state_dict(state)
    return clip.eval()


@torch.no_grad()
@pytest.mark.parametrize("size", [(48, 48), (40, 64), (16, 24)])
def test_an_open_clip_tower_at_another_size_is_what_open_clip_resizes_on_load(size):
    model = make_model(NATIVE)
    pixels = F.interpolate(random_pixels(0, 2).float(), size).byte()
    image, tokens = graph_parts(model)[0].module(pixels)
    theirs = open_clips_own(NATIVE, model, size)
    x = (pixels / 255 - model.tower.mean) / model.tower.std
    torch.testing.assert_close(image, theirs.encode_image(x, normalize=True), rtol=0, atol=1e-5)
    found = theirs.visual.forward_intermediates(x, indices=1, normalize_intermediates=True)
    expected = found["image_intermediates"][-1].permute(0, 2, 3, 1)
    torch.testing.assert_close(tokens, expected, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("config", [AVERAGE, SIGLIP], ids=["average", "siglip"])
def test_a_timm_tower_at_another_size_is_what_timm_resizes_on_load(config):
    model = make_model(config)
    pixels = random_pixels(0, 2, size=48)
    image, tokens = graph_parts(model)[0].module(pixels)
    theirs = make_tower(config, image_size=48).eval()
    state = model.tower.clip.state_dict()
    key = "visual.trunk.pos_embed"
    num_prefix = model.tower.clip.visual.trunk.num_prefix_tokens
    state[key] = resample_abs_pos_embed(state[key], [3, 3], [2, 2], num_prefix_tokens=num_prefix)
    theirs.clip.load_state_dict(state)
    seen = theirs.images(pixels)
    torch.testing.assert_close(image, seen.pooled, rtol=0, atol=1e-5)
    torch.testing.assert_close(tokens.flatten(1, 2), seen.tokens, rtol=0, atol=1e-5)


def test_which_towers_have_a_free_size():
    with torch.device("meta"):
        found = {
            name: free_size(make_tower(config).clip.visual)
            for name, config in {**CONVOLUTIONAL, "native": NATIVE, "rope": ROPE}.items()
        }
    assert {name: free for name, (free, _) in found.items()} == {
        "native": True,
        "resnet": True,
        "convnext": True,
        "fastvit": True,
        "swin": False,
        "rope": False,
    }
    assert found["resnet"][1].name == "attnpool.positional_embedding"
    assert found["convnext"][1] is None


@pytest.mark.parametrize(("prefix", "leading"), [(1, ()), (0, (1,)), (5, (1,))])
def test_a_table_at_its_own_grid_is_itself(prefix, leading):
    table = unit_rows(0, *leading, prefix + 12, 8).float()
    again = resize_table(table, prefix, (3, 4), (3, 4))
    torch.testing.assert_close(again, table, rtol=0, atol=1e-6)
