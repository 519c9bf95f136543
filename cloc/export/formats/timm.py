"""The vision tower as a timm model, with the projection into the shared space as its classifier."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import QuickGELU
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn

from cloc.errors import UserError
from cloc.export.parity import Probe, answers, embeddings, run_usage, write_parity
from cloc.export.weights import PRECISIONS, tower_state
from cloc.frame import height_and_width

TOLERANCE = 1e-5  # of unit embeddings, and of tokens by the largest of them, element by element
# open_clip's own sizes in timm: width, layers, heads, patch -> name; another is built by its shape
NAMES = {
    (768, 12, 12, 32): "vit_base_patch32_clip_224",
    (768, 12, 12, 16): "vit_base_patch16_clip_224",
    (1024, 24, 16, 14): "vit_large_patch14_clip_224",
    (1280, 32, 16, 14): "vit_huge_patch14_clip_224",
    (1408, 40, 16, 14): "vit_giant_patch14_clip_224",
    (1664, 48, 16, 14): "vit_gigantic_patch14_clip_224",
}
OF_ANY_SHAPE = "vit_base_patch16_clip_224"
# what timm says of the weights that it has under a name
OF_OTHER_WEIGHTS = ("tag", "license", "notes", "origin_url", "paper_name", "paper_ids")
INSTEAD = "choose format=open_clip, onnx or torch_export"
PROJECTED = "the projection into the image-text space: outputs, made unit length, are embeddings"
BARE = "none: open_clip projects this trunk by more than a linear map, which is not in this file"
OWN = "none: the pooled features themselves, made unit length, are embeddings"


class Timm:
    """`timm.create_model("local-dir:FOLDER", pretrained=True)` loads what this writes, and so does
    `timm.create_model(architecture, checkpoint_path="FOLDER/model.safetensors", **model_args)`
    with both as `config.json` has them.

    `cloc_classifier` in `config.json` says what the outputs are. Of open_clip's own towers the
    plain ViT has a twin in timm; others are refused. The region head has no place in this format,
    and timm's transform pads with the mean colour where our frame is black.
    """

    library = "timm"
    loads_back = False
    usage = """\
import PIL.Image
import PIL.ImageOps
import timm
import torch

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()  # the image tower
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
photos = [PIL.ImageOps.exif_transpose(PIL.Image.open("photo.jpg")).convert("RGB")]
pixels = torch.stack([transform(photo) for photo in photos])
with torch.no_grad():
    tokens = model.forward_features(pixels)  # a backbone for detection or segmentation
    image = torch.nn.functional.normalize(model(pixels), dim=-1)  # `cloc_classifier` in config.json
print(tokens.shape, image.shape)
"""

    def __init__(self, *, precision: str = "float32") -> None:
        self.precision = precision

    def export(self, model: Any, folder: Path, probe: Probe) -> None:
        """Fills the empty `folder`, then loads it through timm and compares unit embeddings and
        un-pooled tokens."""
        tower = copy.deepcopy(model.tower).cpu().float().eval()
        ours = answers(model, probe)
        with torch.no_grad():
            ours["tokens"] = tower.images(probe.images).tokens
        trunk, classifier = _twin(tower)
        for key in OF_OTHER_WEIGHTS:
            trunk.pretrained_cfg.pop(key, None)
        timm.models.save_for_hf(
            trunk.to(PRECISIONS[self.precision]),
            str(folder),
            safe_serialization=True,
            model_config={"cloc_classifier": classifier},
            data_config={
                **tower.preprocess,
                "input_size": (3, *height_and_width(tower.image_size)),
                "interpolation": "bicubic",
                "crop_pct": 1.0,
                "crop_mode": "border",
            },
        )
        theirs = _answers(run_usage(self.usage, folder, probe))
        largest = ours["tokens"].abs().max().clamp(min=1)
        for found in (ours, theirs):
            found["tokens"] = found["tokens"] / largest
        if classifier == BARE:
            del theirs["image"]
        write_parity(
            folder,
            ours,
            theirs,
            tolerance=TOLERANCE,
            loader=f"timm {timm.__version__}",
            probe=probe,
        )


def _answers(names: Mapping[str, Any]) -> dict[str, Tensor]:
    """`image`, and the un-pooled `tokens` [n, t, w], of the documented code."""
    model, features = names["model"], names["tokens"]
    if features.ndim == 3:
        tokens = features[:, model.num_prefix_tokens :]
    else:
        last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        tokens = features.flatten(1, 2) if last else features.flatten(2).transpose(1, 2)
    return {**embeddings(names), "tokens": tokens}


def _twin(tower: Any) -> tuple[Any, str]:
    """A timm model with the tower's weights, and what its classifier is."""
    visual = tower.clip.visual
    if not hasattr(visual, "trunk"):
        return _of_plain_vit(tower), PROJECTED if visual.proj is not None else OWN
    trunk, head = visual.trunk, visual.head
    layers = [layer for layer in head if not isinstance(layer, nn.Dropout)]
    if not layers:
        has_own = isinstance(trunk.get_classifier(), nn.Linear)
        return trunk, PROJECTED if has_own else OWN
    if len(layers) > 1 or not isinstance(layers[0], nn.Linear):
        return trunk, BARE
    [projection] = layers
    trunk.reset_classifier(tower.dim)
    classifier = trunk.get_classifier()
    with torch.no_grad():
        classifier.weight.copy_(projection.weight)
        nn.init.zeros_(classifier.bias)
        if projection.bias is not None:
            classifier.bias.copy_(projection.bias)
    return trunk, PROJECTED


def _of_plain_vit(tower: Any) -> Any:
    """Through timm's own conversion of CLIP weights."""
    visual = tower.clip.visual
    if isinstance(visual, ModifiedResNet):
        raise UserError(f"format=timm: a ResNet of open_clip has no twin in timm; {INSTEAD}")
    if visual.final_ln_after_pool:
        raise UserError(f"format=timm: timm has no ViT with final_ln_after_pool; {INSTEAD}")
    state = tower_state(tower, "timm's ViT")
    block, width = visual.transformer.resblocks[0], visual.transformer.width
    try:
        twin: Any = timm.create_model(
            twin_name(visual),
            embed_dim=width,
            depth=len(visual.transformer.resblocks),
            num_heads=block.attn.num_heads,
            patch_size=visual.patch_size[0],
            mlp_ratio=block.mlp.c_fc.out_features / width,
            img_size=height_and_width(tower.image_size),
            pre_norm=not isinstance(visual.ln_pre, nn.Identity),
            global_pool={"tok": "token", "avg": "avg"}[visual.pool_type],
            fc_norm=False,
            num_classes=0 if visual.proj is None else tower.dim,
        ).eval()
        converted = checkpoint_filter_fn(state, twin)
        if isinstance(visual.ln_pre, nn.Identity):  # timm's patches have a bias then
            converted["patch_embed.proj.bias"] = torch.zeros(width)
        twin.load_state_dict(converted)
    except (KeyError, RuntimeError, TypeError) as error:
        line = " ".join(str(error).split())[:300]
        raise UserError(
            f"format=timm: timm's ViT cannot hold this tower ({line}); {INSTEAD}"
        ) from error
    return twin


def twin_name(visual: Any) -> str:
    """timm's name of open_clip's plain ViT; of an unknown shape, a name that can take any."""
    block, layers = visual.transformer.resblocks[0], len(visual.transformer.resblocks)
    shape = (visual.transformer.width, layers, block.attn.num_heads, visual.patch_size[0])
    name = NAMES.get(shape, OF_ANY_SHAPE)
    if not isinstance(block.mlp.gelu, QuickGELU):
        return name
    quick = name.replace("_clip_", "_clip_quickgelu_")
    return quick if timm.is_model(quick) else OF_ANY_SHAPE.replace("_clip_", "_clip_quickgelu_")
