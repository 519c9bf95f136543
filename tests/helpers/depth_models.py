"""Tiny depth estimation models of transformers, every weight random, saved as folders."""

import torch

PATCH = 14


def save_depth_anything(folder, *, metric=False):
    """Depth Anything on a DINOv2 of width 8; sees the shorter side at 28 pixels."""
    from transformers import (
        DepthAnythingConfig,
        DepthAnythingForDepthEstimation,
        Dinov2Config,
        DPTImageProcessor,
    )

    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=28,
        patch_size=PATCH,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=PATCH,
        reassemble_hidden_size=8,
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
        depth_estimation_type="metric" if metric else "relative",
        max_depth=20 if metric else 1,
    )
    DepthAnythingForDepthEstimation(config).eval().save_pretrained(folder)
    _processor(DPTImageProcessor).save_pretrained(folder)
    return folder


def save_dpt(folder):
    """DPT on a ViT of width 8."""
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

    torch.manual_seed(0)
    config = DPTConfig(
        hidden_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=28,
        patch_size=PATCH,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8,
    )
    DPTForDepthEstimation(config).eval().save_pretrained(folder)
    square = _processor(DPTImageProcessor, keep_aspect_ratio=False)
    square.save_pretrained(folder)
    return folder


def _processor(kind, *, keep_aspect_ratio=True):
    size = {"height": 28, "width": 28}
    return kind(size=size, keep_aspect_ratio=keep_aspect_ratio, ensure_multiple_of=PATCH)
