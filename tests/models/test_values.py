"""Values of the last attention, against the arithmetic of each kind of tower written out."""

import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.models.values import value_patches
from tests.helpers.models import (
    AVERAGE,
    CONVOLUTIONAL,
    EVA,
    NATIVE,
    SIGLIP,
    TEXT,
    TIMM,
    VISION,
    make_model,
    random_pixels,
)

SCALED = {"ls_init_value": 0.3}
CUSTOM = {"scale_heads": True, "scale_attn_inner": True, "scale_attn": True, "scale_fc": True}
EVA02 = {
    "embed_dim": 24,
    "custom_text": True,
    "vision_cfg": {
        "timm_model_name": "eva02_tiny_patch14_224",
        "image_size": 28,
        "timm_pool": "token",
        "timm_proj": None,
    },
    "text_cfg": {**TEXT, "proj_bias": True},
}
REGISTERS = {
    "embed_dim": 24,
    "vision_cfg": {
        **TIMM,
        "timm_model_name": "vit_betwixt_patch16_reg4_gap_256",
        "timm_pool": "avg",
        "timm_proj": "linear",
    },
    "text_cfg": TEXT,
}


def native(**options):
    return {**NATIVE, "vision_cfg": {**VISION, **options}}


def tower_of(config):
    """With every weight random: fresh scales of 1 and biases of 0 hide mistakes."""
    tower = make_model(config, region_head=None).tower
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in tower.clip.visual.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return tower


def found_and_entering(tower, block, pixels):
    """The values, and what entered the last block."""
    kept = []
    handle = block.register_forward_hook(lambda module, args, output: kept.append(args[0]))
    with torch.no_grad():
        found = value_patches(tower, pixels)
    handle.remove()
    return found, kept[0]


def values_of(attention, x):
    """Of open_clip's attentions, before the output projection."""
    return F.linear(x, *(w.chunk(3)[2] for w in (attention.in_proj_weight, attention.in_proj_bias)))


@pytest.mark.parametrize("options", [{}, SCALED, {"pool_type": "avg"}, {"no_ln_pre": True}])
def test_native_towers_with_torchs_attention(options):
    tower, pixels = tower_of(native(**options)), random_pixels(0, 2)
    visual = tower.clip.visual
    block = visual.transformer.resblocks[-1]
    assert isinstance(block.attn, torch.nn.MultiheadAttention)
    found, x = found_and_entering(tower, block, pixels)
    with torch.no_grad():
        x = x + block.ls_1(block.attn.out_proj(values_of(block.attn, block.ln_1(x))))
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
        expected = (visual.ln_post(x) @ visual.proj)[:, 1:]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_native_towers_with_open_clips_own_attention():
    tower, pixels = tower_of(native(**SCALED, **CUSTOM)), random_pixels(0, 2)
    visual = tower.clip.visual
    block = visual.transformer.resblocks[-1]
    attention = block.attn
    found, x = found_and_entering(tower, block, pixels)
    with torch.no_grad():
        heads = values_of(attention, block.ln_1(x)).unflatten(2, (attention.num_heads, -1))
        heads = (heads * attention.head_scale.view(-1, 1)).flatten(2)
        mixed = attention.out_proj(attention.ln_inner(heads))
        x = x + block.ls_1(block.ln_attn(mixed))
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
        expected = (visual.ln_post(x) @ visual.proj)[:, 1:]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("config", [EVA, AVERAGE, REGISTERS])
def test_timm_vits(config):
    tower, pixels = tower_of(config), random_pixels(0, 2)
    trunk = tower.clip.visual.trunk
    block = trunk.blocks[-1]
    found, x = found_and_entering(tower, block, pixels)
    weight, bias = block.attn.qkv.weight.chunk(3)[2], block.attn.qkv.bias.chunk(3)[2]
    with torch.no_grad():
        x = x + block.ls1(block.attn.proj(F.linear(block.norm1(x), weight, bias)))
        x = x + block.ls2(block.mlp(block.norm2(x)))
        one = trunk.head(trunk.fc_norm(trunk.norm(x)))
        expected = tower.clip.visual.head(one)[:, trunk.num_prefix_tokens :]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_eva02():
    tower, pixels = tower_of(EVA02), random_pixels(0, 2, size=28)
    trunk = tower.clip.visual.trunk
    block = trunk.blocks[-1]
    attention = block.attn
    assert type(attention).__name__ == "EvaAttention"
    found, x = found_and_entering(tower, block, pixels)
    if attention.qkv is None:
        weight, bias = attention.v_proj.weight, attention.v_proj.bias
    else:
        weight, bias = attention.qkv.weight.chunk(3)[2], attention.v_bias
    with torch.no_grad():
        values = F.linear(block.norm1(x), weight, bias)
        x = x + attention.proj(attention.norm(values))
        x = x + block.mlp(block.norm2(x))
        expected = trunk.head(trunk.fc_norm(trunk.norm(x)))[:, 1:]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_pooler_by_attention_is_asked_of_every_patch_alone():
    """SigLIP: the pooler is the last attention, and its value goes through its own MLP."""
    tower, pixels = tower_of(SIGLIP), random_pixels(0, 2)
    pooler = tower.clip.visual.trunk.attn_pool
    with torch.no_grad():
        found, tokens = value_patches(tower, pixels), tower.images(pixels).tokens
        weight, bias = (w.chunk(2)[1] for w in (pooler.kv.weight, pooler.kv.bias))
        x = pooler.proj(F.linear(tokens, weight, bias))
        expected = x + pooler.mlp(pooler.norm(x))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_openais_resnet_is_asked_at_its_pooler():
    tower, pixels = tower_of(CONVOLUTIONAL["resnet"]), random_pixels(0, 2, size=64)
    pooler = tower.clip.visual.attnpool
    with torch.no_grad():
        found = value_patches(tower, pixels)
        tokens = tower.images(pixels).tokens + pooler.positional_embedding[1:]
        expected = pooler.c_proj(pooler.v_proj(tokens))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["convnext", "swin", "fastvit"])
def test_towers_without_attention_at_their_end_are_refused_in_one_line(name):
    config = CONVOLUTIONAL[name]
    tower = make_model(config, region_head=None).tower
    with pytest.raises(UserError, match="does not end in a block of attention") as error:
        value_patches(tower, random_pixels(0, 1, size=config["vision_cfg"]["image_size"]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("config", [NATIVE, EVA])
def test_a_tower_that_was_asked_mixes_again(config):
    tower, pixels = tower_of(config), random_pixels(0, 2)
    with torch.no_grad():
        before = tower.images(pixels)
        values = value_patches(tower, pixels)
        after = tower.images(pixels)
    assert torch.equal(before.tokens, after.tokens)
    assert torch.equal(before.pooled, after.pooled)
    assert (tower.dense(before.tokens) - values).abs().max() > 1e-3
