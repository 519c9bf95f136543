"""Names of parameters against where they stand in real towers, and those of Hugging Face towers."""

import pytest
import torch

from cloc.models.parameter_names import block_of, depth_of, is_block, is_staged, part_of
from tests.helpers.models import CONFIGS, CONVOLUTIONAL, make_model

TEXT = "tower.clip.text.transformer."
HUGGING_FACE = {  # BERT and RoBERTa, T5, DistilBERT
    "embeddings.word_embeddings.weight": 0,
    "embeddings.LayerNorm.bias": 0,
    "encoder.layer.0.attention.self.query.weight": 1,
    "encoder.layer.11.output.LayerNorm.weight": 12,
    "pooler.dense.weight": 13,
    "shared.weight": 0,
    "block.0.layer.0.SelfAttention.relative_attention_bias.weight": 1,
    "block.11.layer.1.DenseReluDense.wo.weight": 12,
    "final_layer_norm.weight": 13,
    "transformer.layer.5.ffn.lin1.weight": 6,
}


def on_meta(config):
    """Names alone."""
    with torch.device("meta"):
        return make_model(config)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_part_is_a_tower_the_scales_or_a_head(kind):
    model = on_meta(CONFIGS[kind])
    towers = {id(p): "image_tower" for p in model.tower.clip.visual.parameters()}
    text = getattr(model.tower.clip, "text", None)
    for name, parameter in model.named_parameters():
        if id(parameter) in towers:
            expected = "image_tower"
        elif "logit_" in name or name.startswith("region_scale"):
            expected = "scales"
        elif name.startswith(("region_head", "box_head")):
            expected = name.split(".")[0]
        else:
            expected = "text_tower"
        assert part_of(name) == expected, name
    if text is not None:
        names = {id(p): n for n, p in model.named_parameters()}
        assert {part_of(names[id(p)]) for p in text.parameters()} == {"text_tower"}
    assert part_of("neck.blocks.3.weight") == "neck"


@pytest.mark.parametrize("kind", CONFIGS)
def test_blocks_are_counted_from_0_and_are_whole_modules(kind):
    model = on_meta(CONFIGS[kind])
    clip = model.tower.clip
    image = getattr(clip.visual, "trunk", None)
    image = clip.visual.transformer.resblocks if image is None else image.blocks
    text = getattr(clip, "text", clip).transformer.resblocks
    names = {id(module): name for name, module in model.named_modules()}
    for blocks in (image, text):
        for i, block in enumerate(blocks):
            name = names[id(block)]
            assert is_block(name)
            assert {block_of(f"{name}.{inner}") for inner, _ in block.named_parameters()} == {i}
            assert not is_block(f"{name}.mlp")
    found = [name for name in names.values() if is_block(name)]
    assert len(found) == len(image) + len(text)
    assert block_of("region_head.blocks.3.weight") is None  # a tower's only


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_parameter_of_a_tower_has_a_depth(kind):
    model = on_meta(CONFIGS[kind])
    depths = {
        name: depth_of(name, num_blocks=12)
        for name, _ in model.named_parameters()
        if part_of(name).endswith("_tower")
    }
    for name, depth in depths.items():
        if "token_embedding" in name or "positional_embedding" in name or "patch_embed" in name:
            assert depth == 0, name
        if "ln_post" in name or "text_projection" in name or name.endswith("visual.proj"):
            assert depth == 13, name
    assert {depth for depth in depths.values() if depth > 0} >= {1, 2, 13}


@pytest.mark.parametrize("name", HUGGING_FACE)
def test_depths_of_hugging_face_text_towers(name):
    assert part_of(TEXT + name) == "text_tower"
    assert depth_of(TEXT + name, num_blocks=12) == HUGGING_FACE[name]


def test_a_name_that_says_nothing_is_a_key_error():
    with pytest.raises(KeyError):
        depth_of("tower.clip.visual.trunk.mystery.weight", num_blocks=12)


@pytest.mark.parametrize("kind", CONVOLUTIONAL)
def test_blocks_of_stages_say_no_depth(kind):
    names = [name for name, _ in on_meta(CONVOLUTIONAL[kind]).named_parameters()]
    staged = {name for name in names if is_staged(name)}
    assert len(staged) > 10
    assert {part_of(name) for name in staged} == {"image_tower"}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_transformer_has_no_stages(kind):
    assert not [name for name, _ in on_meta(CONFIGS[kind]).named_parameters() if is_staged(name)]
