"""Tokens of every kind of vision tower against what its own pooler gets."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cloc.errors import UserError
from cloc.models.tower_build import make_tower
from tests.helpers.models import AVERAGE, CONVOLUTIONAL, NATIVE, TEXT, make_model, random_pixels

POOLERS = {
    "resnet": "attnpool",
    "convnext": "trunk.head",
    "swin": "trunk.head",
    "fastvit": "trunk.head",
}
# normalises after pooling, as every timm ViT with `timm_pool: avg` of its own does
FC_NORM = {
    "embed_dim": 24,
    "vision_cfg": {"timm_model_name": "vitamin_small_224", "image_size": 32, "timm_proj": "linear"},
    "text_cfg": TEXT,
}


@pytest.fixture(scope="module", params=CONVOLUTIONAL)
def kind(request):
    torch.manual_seed(0)
    return request.param, make_tower(CONVOLUTIONAL[request.param]).eval()


@torch.no_grad()
def test_tokens_are_the_feature_map_that_the_pooler_gets(kind):
    name, tower = kind
    seen = []
    visual = tower.clip.visual
    pooler = visual.attnpool if name == "resnet" else visual.trunk.head
    handle = pooler.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    pixels = random_pixels(0, 2, size=tower.image_size)
    x = (pixels / 255 - tower.mean) / tower.std
    expected = tower.clip.encode_image(x, normalize=True)  # open_clip's own path
    handle.remove()
    [features] = seen
    rows, columns = tower.grid
    tokens, pooled, *_ = tower.images(pixels)
    assert tokens.shape == (2, rows * columns, tower.width)
    of_map = features.permute(0, 2, 3, 1) if name != "swin" else features
    torch.testing.assert_close(tokens.unflatten(1, (rows, columns)), of_map, rtol=0, atol=1e-5)
    torch.testing.assert_close(pooled, expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_projected_token_is_what_an_image_of_it_alone_is_pooled_to(kind):
    name, tower = kind
    tokens = torch.randn(2, 3, tower.width)
    if name == "resnet":
        with pytest.raises(UserError, match="pools by attention"):
            tower.dense(tokens)
        return
    visual = tower.clip.visual
    one = tokens[1, 2][None, None, None] if name == "swin" else tokens[1, 2][None, :, None, None]
    expected = visual.head(visual.trunk.forward_head(one))[0]
    torch.testing.assert_close(tower.dense(tokens)[1, 2], expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_tower_that_normalises_after_pooling_gives_what_it_pools():
    torch.manual_seed(0)
    tower = make_tower(FC_NORM).eval()
    assert not isinstance(tower.clip.visual.trunk.fc_norm, nn.Identity)
    tokens, pooled, *_ = tower.images(random_pixels(0, 2))
    visual = tower.clip.visual
    mine = visual.head(visual.trunk.head(visual.trunk.fc_norm(tokens.mean(1))))
    torch.testing.assert_close(F.normalize(mine, dim=-1), pooled, rtol=0, atol=1e-5)
    alone = visual.head(visual.trunk.head(visual.trunk.fc_norm(tokens[:, 1])))
    torch.testing.assert_close(tower.dense(tokens)[:, 1], alone, rtol=0, atol=1e-5)


def test_every_weight_of_a_convolutional_model_gets_a_gradient():
    model = make_model(CONVOLUTIONAL["convnext"]).train()
    tower = model.tower
    tokens, pooled, *_ = tower.images(random_pixels(0, 2, size=tower.image_size))
    boxes = torch.tensor([[[0.1, 0.1, 0.6, 0.6]]]).repeat(2, 1, 1)
    region, _ = model.region_head(tokens, boxes, None, grid=tower.grid)
    (pooled.sum() + region.sum()).backward()
    assert all(p.grad is not None for p in tower.clip.visual.parameters())


@pytest.mark.parametrize("size", [33, 100])
def test_a_size_that_the_stages_do_not_divide_is_an_error(size):
    with torch.device("meta"), pytest.raises(UserError, match="to a multiple of 32"):
        make_tower(CONVOLUTIONAL["convnext"], image_size=size)


def test_tokens_whose_places_are_not_known_are_no_map():
    """They were taken for one, rows for columns."""
    config = {**FC_NORM, "vision_cfg": {"timm_model_name": "volo_d1_224", "timm_proj": "linear"}}
    with torch.device("meta"):
        tower = make_tower(config)
        with pytest.raises(UserError, match=r"VOLO gives \[1, 197, 384\], no map of features"):
            tower.images(torch.zeros(1, 3, 224, 224, dtype=torch.uint8))


@pytest.mark.parametrize("name", ["resnet", "convnext"])
def test_what_only_transformers_can_do_is_refused(name):
    tower = make_tower(CONVOLUTIONAL[name])
    with pytest.raises(UserError, match=r"it is not known which patches .* set patch_dropout=0"):
        tower.drop_patches(0.5)


def test_a_resnet_cannot_recompute_its_blocks():
    with pytest.raises(UserError, match="ModifiedResNet cannot recompute its blocks"):
        make_tower(CONVOLUTIONAL["resnet"]).recompute_blocks()


@pytest.mark.parametrize("config", [NATIVE, AVERAGE])
def test_nothing_is_registered_twice(config):
    names = [name for name, _ in make_tower(config).named_parameters(remove_duplicate=False)]
    assert all(name.startswith("clip.") for name in names)
