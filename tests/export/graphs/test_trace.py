"""The graphs of a model: which there are, what they answer, at which sizes."""

import copy

import open_clip
import pytest
import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed

from cloc.errors import UserError
from cloc.export.graphs.trace import ImageEncoder, described, described_model, graph_parts, trace
from cloc.export.weights import round_weights
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
from tests.helpers.rows import random_boxes, unit_rows
from tests.helpers.tracing import without_type_checks

ROPE = {
    **EVA,
    "vision_cfg": {"timm_model_name": "eva02_tiny_patch14_224", "timm_proj": "linear"},
}


def parts_of(model):
    return {part.name: part for part in graph_parts(model)}


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["image_encoder", "text_encoder", "prompter", "grounder"]),
        ({"region_head": {"kind": "prompter"}}, ["image_encoder", "text_encoder", "prompter"]),
        ({"region_head": {"kind": "roi_align"}}, ["image_encoder", "text_encoder", "prompter"]),
        ({"region_head": None}, ["image_encoder", "text_encoder"]),
    ],
)
def test_a_head_that_is_not_there_has_no_graph(given, names):
    assert list(parts_of(make_model(**given))) == names


def test_parts_are_copies_in_float32_and_evaluation_mode():
    model = make_model().train().bfloat16()
    for part in graph_parts(model):
        assert not any(module.training for module in part.module.modules())
        assert {x.dtype for x in part.module.parameters()} == {torch.float32}
    assert model.training
    assert {x.dtype for x in model.parameters()} == {torch.bfloat16}
    assert model.tower.clip.visual is not None


def test_no_tower_weight_stands_in_two_graphs():
    parts = parts_of(make_model())
    image, text = (parts[name].module.state_dict() for name in ("image_encoder", "text_encoder"))
    assert all(".visual." in f".{name}" for name in image)
    assert not any("visual" in name for name in text)


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
    image, tokens = parts_of(model)["image_encoder"].module(pixels)
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
    image, tokens = parts_of(model)["image_encoder"].module(pixels)
    theirs = make_tower(config, image_size=48).eval()
    state = model.tower.clip.state_dict()
    key = "visual.trunk.pos_embed"
    num_prefix = model.tower.clip.visual.trunk.num_prefix_tokens
    state[key] = resample_abs_pos_embed(state[key], [3, 3], [2, 2], num_prefix_tokens=num_prefix)
    theirs.clip.load_state_dict(state)
    seen = theirs.images(pixels)
    torch.testing.assert_close(image, seen.pooled, rtol=0, atol=1e-5)
    torch.testing.assert_close(tokens.flatten(1, 2), seen.tokens, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "free"),
    [
        (NATIVE, True),
        (CONVOLUTIONAL["resnet"], True),
        (CONVOLUTIONAL["convnext"], True),
        (CONVOLUTIONAL["swin"], False),
        (ROPE, False),
    ],
    ids=["native", "resnet", "convnext", "swin", "rope"],
)
def test_which_towers_have_a_free_size(config, free):
    with torch.device("meta"):
        tower = make_tower(config)
    assert ImageEncoder(tower).free is free


@torch.no_grad()
@pytest.mark.parametrize("config", [NATIVE, EVA, CONVOLUTIONAL["resnet"]], ids=["vit", "eva", "rn"])
def test_at_its_own_size_the_image_graph_is_the_model(config):
    model = make_model(config)
    pixels = random_pixels(0, 3, size=model.tower.image_size)
    image, tokens = parts_of(model)["image_encoder"].module(pixels)
    seen = model.tower.images(pixels)
    torch.testing.assert_close(image, seen.pooled, rtol=0, atol=1e-6)
    torch.testing.assert_close(tokens.flatten(1, 2), seen.tokens, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_tower_without_a_free_size_keeps_its_own():
    model = make_model(ROPE, region_head=None)
    parts = graph_parts(model)
    assert parts[0].inputs == {"pixels": {0: "batch"}}
    said = described_model(model, parts)
    assert (said["image_size"], said["image_size_free"]) == ((224, 224), False)
    pixels = random_pixels(0, 2, size=224)
    image, tokens = parts[0].module(pixels)
    assert tokens.shape == (2, 16, 16, 192)
    torch.testing.assert_close(image, model.tower.images(pixels).pooled, rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("head", [{"kind": "prompter", "pool": "tokens"}, {"kind": "roi_align"}])
def test_a_traced_region_head_answers_any_number_of_boxes_on_any_grid(head):
    part = parts_of(make_model(region_head=head))["prompter"]
    with without_type_checks():
        traced = trace(part)
    assert described(part, traced) == {
        "inputs": {"tokens": ["batch", "rows", "columns", 32], "boxes": ["batch", "boxes", 4]},
        "outputs": {"region": ["batch", "boxes", 24]},
    }
    program = traced.module()
    for b, rows, columns, r in ((1, 4, 4, 1), (2, 3, 5, 4), (1, 5, 3, 11)):
        tokens = unit_rows(0, b, rows, columns, 32).float()
        boxes = random_boxes(0, b, r).float()
        expected = part.module(tokens, boxes)
        torch.testing.assert_close(program(tokens, boxes), expected, rtol=0, atol=1e-5)
    with pytest.raises((AssertionError, RuntimeError), match=r"Guard failed|batch index"):
        program(unit_rows(0, 2, 4, 4, 32).float(), random_boxes(0, 3, 1).float())


@torch.no_grad()
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(NATIVE, id="vit", marks=pytest.mark.rare),
        pytest.param(CONVOLUTIONAL["resnet"], id="resnet", marks=pytest.mark.rare),
    ],
)
def test_stored_in_half_the_size_a_graph_answers_as_the_rounded_model(config):
    """Statistics of norms too; and the part itself, which is compared with, stays as it is."""
    model = make_model(config, region_head=None)
    round_weights(model, "float16")
    part = parts_of(model)["image_encoder"]
    with without_type_checks():
        program = trace(part, precision="float16")
    numbers = [value for value in program.state_dict.values() if value.is_floating_point()]
    assert {value.dtype for value in numbers} == {torch.float16}
    assert len(numbers) == sum(v.is_floating_point() for v in part.module.state_dict().values())
    pixels = random_pixels(0, 2, size=model.tower.image_size)
    for ours, theirs in zip(part.module(pixels), program.module()(pixels), strict=True):
        assert ours.dtype == theirs.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_what_cannot_be_traced_is_an_error_with_the_reason():
    part = parts_of(make_model())["prompter"]
    part.module.region_head.encode = lambda points: points if points.sum() > 0 else -points
    says = r"cannot trace the prompter of this model: .*data-dependent"
    with without_type_checks(), pytest.raises(UserError, match=says):
        trace(part)


def test_a_tower_whose_last_patches_are_partly_padding_is_traced_at_its_own_size_alone():
    vision = {"timm_model_name": "tf_efficientnet_lite0", "timm_proj": "linear", "image_size": 36}
    model = make_model({**CONVOLUTIONAL["convnext"], "vision_cfg": vision}, region_head=None)
    part = parts_of(model)["image_encoder"]
    assert not part.module.free
    assert part.example[0].shape[2:] == (36, 36)
    assert part.module(part.example[0])[1].shape[1:3] == model.tower.grid == (2, 2)
