"""Which tokens stay, that the others have no say, and that a replayed forward drops the same."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from cloc.errors import UserError
from cloc.losses.grounding import Grounding
from cloc.losses.region_text import RegionText
from cloc.models.patch_dropout import PatchDropout
from cloc.models.tower_build import make_tower
from tests.helpers.models import CONFIGS, EVA, NATIVE, make_model, model_batch, random_pixels


def test_a_random_share_of_the_patches_stays_in_order_and_the_first_tokens_always():
    torch.manual_seed(0)
    drop, x = PatchDropout(0.75, num_prefix=2), torch.randn(50, 2 + 16, 3)
    out = drop(x)
    assert out.shape == (50, 2 + 4, 3)
    assert out[:, :2].equal(x[:, :2])
    for row, kept, own in zip(out, drop.kept, x, strict=True):
        assert kept.tolist() == sorted(set(kept.tolist()))
        assert row[2:].equal(own[2:][kept])
    assert set(drop.kept.flatten().tolist()) == set(range(16))
    assert not drop.kept[0].equal(drop.kept[1])
    assert PatchDropout(0.99, num_prefix=0)(x).shape == (50, 1, 3)  # at least one


def test_all_tokens_stay_in_evaluation():
    drop, x = PatchDropout(0.5, num_prefix=1), torch.randn(2, 5, 3)
    drop(x)
    assert drop.kept is not None
    assert drop.eval()(x) is x
    assert drop.kept is None


@pytest.mark.parametrize("frac", [0.0, 1.0, -0.5])
def test_an_impossible_share_is_refused(frac):
    with pytest.raises(UserError, match=rf"patch_dropout={frac}; choose 0 \(off\) to below 1"):
        PatchDropout(frac, num_prefix=1)


def patches_painted(tower, pixels, chosen):
    """Other pixels in the chosen patches [b, p] of each image."""
    rows, columns = tower.grid
    side = tower.image_size // rows
    mask = chosen.view(-1, 1, rows, columns).float()
    mask = torch.nn.functional.interpolate(mask, scale_factor=side).bool()
    return torch.where(mask, 255 - pixels, pixels)


@pytest.mark.parametrize("kind", CONFIGS)
@torch.no_grad()
def test_a_dropped_patch_has_no_say_and_a_kept_one_has(kind):
    torch.manual_seed(0)
    tower = make_tower(CONFIGS[kind], image_size=64)
    tower.drop_patches(0.5)
    pixels, num = random_pixels(0, 2, size=64), tower.grid[0] * tower.grid[1]

    def run(given):
        torch.manual_seed(5)
        return tower.images(given)

    tokens, pooled, kept, _ = run(pixels)
    assert tokens.shape[1] == kept.shape[1] == num // 2
    stays = torch.zeros(2, num, dtype=torch.bool).scatter(1, kept, True)
    other = run(patches_painted(tower, pixels, ~stays))
    assert other.tokens.equal(tokens)
    assert other.pooled.equal(pooled)
    first = torch.zeros_like(stays).scatter(1, kept[:, 2:3], True)
    change = (run(patches_painted(tower, pixels, first)).tokens - tokens).norm(dim=-1)
    assert change.argmax(1).tolist() == [2, 2]  # token 2 is patch kept[:, 2]


@pytest.mark.parametrize("kind", CONFIGS)
@torch.no_grad()
def test_evaluation_is_as_without(kind):
    torch.manual_seed(0)
    tower = make_tower(CONFIGS[kind]).eval()
    keys, expected = tower.state_dict().keys(), tower.images(random_pixels(0, 2))
    tower.drop_patches(0.5)
    found = tower.images(random_pixels(0, 2))
    assert found.kept is None
    assert found.tokens.equal(expected.tokens)
    assert found.pooled.equal(expected.pooled)
    assert tower.state_dict().keys() == keys


def graded(model, images):
    """Loss and gradients of a region loss over what `images` gives, from the same draws."""
    torch.manual_seed(3)
    model.zero_grad()
    batch, own = model_batch(model), model.tower.images
    model.tower.images = lambda pixels: images(own, pixels)
    try:
        out = model(batch)
    finally:
        model.tower.images = own
    loss = sum(f(out, batch).value for f in (RegionText(conflict="none"), Grounding()))
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_a_replayed_forward_drops_the_same_patches():
    model = make_model().double().train()
    model.tower.drop_patches(0.5)
    once, grads = graded(model, lambda run, pixels: run(pixels))
    again, replayed = graded(
        model, lambda run, pixels: checkpoint(run, pixels, use_reentrant=False)
    )
    assert once.equal(again)
    assert len(grads) > 20
    for a, b in zip(grads, replayed, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_towers_and_heads_that_need_every_patch_say_so():
    tower = make_tower(
        {
            **EVA,
            "vision_cfg": {
                **EVA["vision_cfg"],
                "timm_model_name": "eva02_tiny_patch14_224",
                "image_size": 28,
            },
        }
    )
    with pytest.raises(UserError, match=r"which patches Eva drops; set patch_dropout=0"):
        tower.drop_patches(0.5)
    model = make_model(NATIVE, region_head={"kind": "roi_align"}, region_scale={}).train()
    model.tower.drop_patches(0.5)
    with pytest.raises(UserError, match=r"RoIAlign .* patches are left out; set patch_dropout=0"):
        model(model_batch(model))
