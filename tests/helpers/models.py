"""Tiny towers of each kind, models on them, and batches for these models."""

import copy

import torch

from cloc.interfaces import RegionBatch
from cloc.models.build import build_model
from tests.helpers.rows import random_boxes

SIZE, CONTEXT = 32, 12
TEXT = {"context_length": CONTEXT, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
VISION = {"image_size": SIZE, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
TIMM = {"timm_model_name": "vit_tiny_patch16_224", "image_size": SIZE}

# open_clip's own ViT with the class token pooled
NATIVE = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}
# timm's ViT with attention pooling, a text tower that sees everything and pools the last token
SIGLIP = {
    "embed_dim": 192,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {**TIMM, "timm_pool": "map", "timm_proj": "none"},
    "text_cfg": {**TEXT, "no_causal_mask": True, "pool_type": "last", "proj_bias": True},
}
# timm's ViT with the class token pooled and the projection inside the trunk, as EVA has it
EVA = {
    "embed_dim": 24,
    "custom_text": True,
    "vision_cfg": {**TIMM, "timm_pool": "token", "timm_proj": None},
    "text_cfg": {**TEXT, "proj_bias": True},
}
# timm's ViT with the mean pooled and open_clip's projection behind it
AVERAGE = {
    "embed_dim": 24,
    "vision_cfg": {**TIMM, "timm_pool": "avg", "timm_proj": "linear"},
    "text_cfg": TEXT,
}
CONFIGS = {"native": NATIVE, "siglip": SIGLIP, "eva": EVA, "average": AVERAGE}

# towers whose tokens are the places of a feature map
CONVOLUTIONAL = {
    "resnet": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
        "text_cfg": TEXT,
    },
    **{
        name: {
            "embed_dim": 24,
            "vision_cfg": {"timm_model_name": model, "timm_proj": "linear", "image_size": size},
            "text_cfg": TEXT,
        }
        for name, model, size in (
            ("convnext", "convnext_atto", 64),
            ("swin", "swin_tiny_patch4_window7_224", 224),
            ("fastvit", "fastvit_t8", 64),
        )
    },
}

PROMPTER = {"kind": "prompter", "num_heads": 2}
CLOC_PARTS = {"region_head": PROMPTER, "region_scale": {}, "box_head": {}}


def make_model(config=NATIVE, seed=0, **parts):
    """A model with random weights of this seed; `parts` are `build_model`'s, else all of them."""
    torch.manual_seed(seed)
    parts = parts or CLOC_PARTS
    return build_model({"config": copy.deepcopy(config)}, **copy.deepcopy(parts)).eval()


def random_pixels(seed, b, size=SIZE):
    generator = torch.Generator().manual_seed(seed)
    sides = (size, size) if isinstance(size, int) else size
    return torch.randint(0, 256, (b, 3, *sides), dtype=torch.uint8, generator=generator)


def model_batch(model, *, valid=((1, 1, 1), (1, 1, 0), (0, 0, 0))):
    """Regions whose phrases repeat within and across images, one with an explicit negative."""
    tokenize = model.tower.tokenizer()
    mask = torch.tensor(valid).bool()
    b, r = mask.shape
    phrases = ["a red star", "a blue ring", "a small cross", "a star"]
    index = torch.arange(b * r).view(b, r) % 3
    negatives = torch.full((b, r, 1), -1)
    negatives[0, 0] = 3
    return RegionBatch(
        images=random_pixels(0, b),
        captions=tokenize([f"{n} stars and a ring" for n in range(b)], CONTEXT),
        caption_valid=torch.ones(b, dtype=torch.bool),
        boxes=random_boxes(1, b, r).float() * mask[..., None],
        valid=mask,
        phrases=tokenize(phrases, CONTEXT),
        phrase_index=index * mask,
        negative_index=negatives.masked_fill(~mask[..., None], -1),
        keys=tuple(map(str, range(b))),
        extra={},
    )
