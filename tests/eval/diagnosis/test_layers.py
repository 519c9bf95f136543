"""Layers of a tower, against the blocks called by hand."""

import pytest
import torch

from cloc.eval.diagnosis.layers import Layers
from cloc.eval.diagnosis.towers import opened
from cloc.eval.encoders.encoder import of_model
from cloc.models.build import build_model
from tests.helpers.models import AVERAGE, CONVOLUTIONAL, EVA, NATIVE, VISION, random_pixels

CPU = torch.device("cpu")


def view_of(config, positions=None):
    torch.manual_seed(0)
    model = build_model({"config": config, "positions": positions}).eval()
    return model, opened(of_model(model, "x", device=CPU))


def normalised(model, x):
    return (x.float() / 255 - model.tower.mean) / model.tower.std


def test_tokens_of_the_native_tower_are_those_between_its_blocks():
    model, view = view_of(NATIVE)
    visual, x = model.tower.clip.visual, random_pixels(0, 2)
    shares = {}
    look = view.look(x, lambda name, found: shares.update({name: found}))
    with torch.no_grad():
        content = visual.conv1(normalised(model, x)).flatten(2).mT
        entering = torch.cat([visual.class_embedding.expand(2, 1, -1), content], 1)
        steps = [visual.ln_pre(entering + visual.positional_embedding)]
        for block in visual.transformer.resblocks:
            steps.append(block(steps[-1]))
        steps.append(visual.ln_post(steps[-1]))
    assert list(look.layers) == ["in", "1", "2", "norm"]
    for tokens, expected in zip(look.layers.values(), steps, strict=True):
        torch.testing.assert_close(tokens.patches, expected[:, 1:], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(tokens.prefix, expected[:, :1], atol=1e-5, rtol=1e-5)
        assert tokens.grid == (4, 4)
    torch.testing.assert_close(look.content, content)
    table = visual.positional_embedding[1:].expand(2, -1, -1)
    torch.testing.assert_close(look.position, table, atol=1e-5, rtol=1e-5)
    for block, entered, name in zip(visual.transformer.resblocks, steps, "12", strict=False):
        with torch.no_grad():
            seen = block.ln_1(entered)
            _, by_hand = block.attn(seen, seen, seen, average_attn_weights=False)
        torch.testing.assert_close(shares[name], by_hand, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("positions", [{"rotary": "axial"}, {"relative": "shaw"}])
def test_attention_with_positions_of_its_own_is_seen(positions):
    """Shaw mixes by a softmax of its own, axial by torch's fused one."""
    _, view = view_of(NATIVE, positions)
    shares = {}
    view.look(random_pixels(0, 2), lambda name, found: shares.update({name: found}))
    assert {name: tuple(found.shape) for name, found in shares.items()} == {
        "1": (2, 2, 17, 17),
        "2": (2, 2, 17, 17),
    }
    torch.testing.assert_close(shares["1"].sum(-1), torch.ones(2, 2, 17))


def test_looking_changes_no_answer():
    """To the bit without attention; with it, torch's own attention takes its other way."""
    model, view = view_of(NATIVE)
    x = random_pixels(0, 2)
    with torch.no_grad():
        before = model.tower.images(x).pooled
    answers = []
    watching = Layers(**{**vars(view), "run": lambda x: answers.append(view.run(x))})
    watching.look(x)
    watching.look(x, lambda name, shares: None)
    assert torch.equal(answers[0], before)
    torch.testing.assert_close(answers[1], before)
    with torch.no_grad():
        assert torch.equal(model.tower.images(x).pooled, before)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("config", [EVA, AVERAGE])
def test_timms_transformers_show_their_tokens(config):
    model, view = view_of(config)
    x = random_pixels(0, 2, model.tower.image_size)
    look = view.look(x)
    with torch.no_grad():
        entering = model.tower.images(x).tokens
        content = model.tower.clip.visual.trunk.patch_embed(normalised(model, x))
    assert list(look.layers) == ["in", *map(str, range(1, 13)), "norm"]
    torch.testing.assert_close(look.layers["norm"].patches, entering)
    torch.testing.assert_close(look.content, content)
    assert look.layers["3"].prefix.shape == (2, 1, 192)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_maps_show_every_step_and_its_own_grid(name):
    model, view = view_of(CONVOLUTIONAL[name])
    x = random_pixels(0, 2, model.tower.image_size)
    seen = []
    look = view.look(x, lambda *found: seen.append(found))
    grids = [tokens.grid for tokens in look.layers.values()]
    assert grids == sorted(grids, reverse=True)
    assert len(set(grids)) == 4
    assert all(
        tokens.patches.shape[1] == tokens.grid[0] * tokens.grid[1]
        for tokens in look.layers.values()
    )
    assert look.content is None
    assert seen == []  # no attention of all tokens: Swin's is of windows
    if name == "resnet":
        with torch.no_grad():
            torch.testing.assert_close(look.layers["4"].patches, model.tower.images(x).tokens)


def test_unpositioned_is_for_a_while():
    _, view = view_of(NATIVE)
    x = random_pixels(0, 1)
    before = view.look(x)
    with view.unpositioned() as found:
        off = view.look(x)
    assert found == ["positional_embedding"]
    assert torch.equal(off.position[:, :], torch.zeros_like(off.position))
    assert torch.equal(view.look(x).layers["2"].patches, before.layers["2"].patches)


def test_a_norm_that_the_pooler_calls_again_is_seen_on_the_tokens():
    """There it is called on the pooled vector at last."""
    late = {**NATIVE, "vision_cfg": {**VISION, "final_ln_after_pool": True}}
    model, view = view_of(late)
    x = random_pixels(0, 2)
    with torch.no_grad():
        tokens = model.tower.images(x).tokens
    torch.testing.assert_close(view.look(x).layers["norm"].patches, tokens)
