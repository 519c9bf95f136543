"""Folders of encoders in the layouts of other libraries."""

import json

import open_clip
import torch
from safetensors.torch import save_file
from transformers import Siglip2Config, Siglip2ImageProcessor, Siglip2Model

from tests.helpers.hf import write_tokenizer
from tests.helpers.models import NATIVE, make_model

COCA = {
    "embed_dim": 24,
    "vision_cfg": {
        **{"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        **{"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
    },
    "text_cfg": {
        **{"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
        **{"embed_cls": True, "output_tokens": True},
    },
    "multimodal_cfg": {
        **{"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
        "attn_pooler_heads": 2,
    },
    "custom_text": True,
}
NAFLEX = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def save_open_clip(folder, *, resize_mode, seed=0):
    """As open_clip's own folders are; ours name the model that wrote them too."""
    folder.mkdir(parents=True)
    clip = make_model(NATIVE, seed, region_head=None).tower.clip
    save_file(dict(clip.state_dict()), folder / "open_clip_model.safetensors")
    seen = {
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 0.4],
        "interpolation": "bicubic",
        "resize_mode": resize_mode,
    }
    config = {"model_cfg": NATIVE, "preprocess_cfg": seen}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def save_naflex(folder):
    """A SigLIP 2 of variable resolution, as transformers saves it: 64 patches of 4 pixels."""
    torch.manual_seed(0)
    config = Siglip2Config(
        text_config={
            **NAFLEX,
            "vocab_size": 512,
            "max_position_embeddings": 8,
            "projection_size": 32,
        },
        vision_config={**NAFLEX, "patch_size": 4, "num_patches": 64},
    )
    Siglip2Model(config).save_pretrained(folder)
    Siglip2ImageProcessor(patch_size=4, max_num_patches=64).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def save_coca(folder):
    """A CoCa of open_clip, whose pictures are squashed."""
    torch.manual_seed(0)
    config = {key: value for key, value in COCA.items() if key != "custom_text"}
    model = open_clip.CoCa(**config)
    for weight in model.parameters():  # one of them open_clip leaves as memory was
        torch.nn.init.normal_(weight, std=0.05)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    seen = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic"}
    told = {"model_cfg": COCA, "preprocess_cfg": {**seen, "resize_mode": "squash"}}
    (folder / "open_clip_config.json").write_text(json.dumps(told))
    return folder
