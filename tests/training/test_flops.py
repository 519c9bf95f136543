"""Counted FLOPs against the arithmetic of a transformer, and what they are linear in."""

import pytest
import torch

from cloc.training.flops import datasheet_flops, model_flops, shapes, step_cost
from cloc.training.freeze import freeze
from tests.helpers.models import CLOC_PARTS, CONTEXT, NATIVE, SIZE, TEXT, VISION, make_model

WIDTH, PATCHES, DIM = VISION["width"], (SIZE // VISION["patch_size"]) ** 2, NATIVE["embed_dim"]


def on_meta(**parts):
    with torch.device("meta"):
        return make_model(**parts).train()


def batch(images=2, regions=3, phrases=4, region_context=CONTEXT):
    return shapes(
        images=images,
        regions=regions,
        phrases=phrases,
        image_size=SIZE,
        context=CONTEXT,
        region_context=region_context,
    )


def layer(tokens, width):
    """Forward multiply-adds: q k v, output, and an MLP of four widths; then both attentions."""
    return tokens * 12 * width**2 + 2 * tokens**2 * width


def clip_step():
    """FLOPs of one image and caption: backward costs twice its forward, but for the pixels."""
    patches = PATCHES * WIDTH * 3 * VISION["patch_size"] ** 2
    image = VISION["layers"] * layer(PATCHES + 1, WIDTH) + WIDTH * DIM
    text = TEXT["layers"] * layer(CONTEXT, TEXT["width"]) + TEXT["width"] * DIM
    return 2 * (3 * (image + text) + 2 * patches)


def test_a_clip_step_costs_what_its_layers_cost():
    model = on_meta(region_head=None)
    assert model_flops(model, batch(images=2)) == 2 * clip_step()


def test_a_phrase_costs_a_text_and_a_twin_reads_none():
    settings = {"image_size": SIZE, "regions": 3, "context": CONTEXT, "region_context": 5}
    text = TEXT["layers"] * layer(5, TEXT["width"]) + TEXT["width"] * DIM
    assert step_cost(on_meta(), **settings).per_phrase == 6 * text
    twin = step_cost(on_meta(region_head=None), **settings)
    assert twin == (clip_step(), 0)


def test_a_batchs_cost_is_linear_in_its_images_and_in_its_phrases():
    model = on_meta(**CLOC_PARTS)
    settings = {"image_size": SIZE, "regions": 3, "context": CONTEXT, "region_context": CONTEXT}
    cost = step_cost(model, **settings)
    for images, phrases in ((1, 1), (5, 3), (2, 64)):
        given = batch(images=images, phrases=phrases)
        assert model_flops(model, given) == cost.of(given)


def test_frozen_parameters_get_no_gradient_and_cost_none():
    model = on_meta(region_head=None)
    freeze(model, ["image_tower", "text_tower"])
    model.tower.clip.logit_scale.requires_grad_(False)
    forward = model_flops(model, batch(images=1))
    patches = 4 * PATCHES * WIDTH * 3 * VISION["patch_size"] ** 2
    assert forward == (clip_step() - patches) // 3 + patches // 2


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-40GB", 312e12),
        ("NVIDIA L40S", 362e12),
        ("AMD EPYC", None),
    ],
)
def test_the_peak_of_the_datasheet_or_none_where_we_know_none(name, peak):
    assert datasheet_flops(name) == peak
