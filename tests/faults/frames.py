"""The frames of 20 architectures and more: each library's own preprocessing, boxes carried through.

python -m tests.faults.frames [NAME ...]     # all; one line of JSON

Only `prepare` is asked: towers stand on the meta device and processors have no weights. Of each
frame the right boxes must conform, and three planted faults must be refused by their names.
"""

import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything that looks

import open_clip
import timm
import torch
import transformers
from open_clip.transform import PreprocessCfg, image_transform_v2
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from cloc.errors import UserError
from cloc.eval.conformance import check, refuse
from cloc.eval.encoders.encoder import open_encoder
from cloc.frame import Framing
from cloc.models.embedder import ModelEmbedder
from cloc.models.tower_build import make_tower
from tests.eval.conformance import adapters as made
from tests.eval.conformance.test_libraries import HALF, SWAPPED, WHOLE, pointed

OPEN_CLIP = {
    **{"ViT-B-32": "openai", "RN50": "openai", "ViT-B-16-plus-240": "laion400m_e32"},
    **{"ViT-L-14-336": "openai", "convnext_base_w_320": "laion_aesthetic_s13b_b82k"},
    **{"EVA02-B-16": "merged2b_s8b_b131k", "coca_ViT-B-32": "laion2b_s13b_b90k"},
    **{"ViT-B-16-SigLIP-256": "webli", "ViT-B-16-SigLIP2-384": "webli"},
    **{"PE-Core-B-16": "meta", "ViTamin-B": "datacomp1b", "MobileCLIP-S1": "datacompdr"},
}
TIMM = (
    *("vit_base_patch16_224.augreg_in21k", "vit_base_patch14_dinov2.lvd142m", "resnet50.a1_in1k"),
    *("convnext_tiny.fb_in22k", "swin_tiny_patch4_window7_224.ms_in1k", "efficientnet_b3.ra2_in1k"),
)
OURS = ("ViT-B-32", "ViT-B-16-plus-240", "EVA02-B-16", "RN50")
MODES = {"pad": "longest", "squash": "squash", "crop": "shortest"}
SHORTER = {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}
HF = {
    "CLIPImageProcessor": ({}, lambda w, h: made.shortest(w, h, 224, half=int)),
    "SiglipImageProcessor": ({}, lambda w, h: made.squash(w, h, 224)),
    "ViTImageProcessor": ({}, lambda w, h: made.squash(w, h, 224)),
    "BitImageProcessor": (SHORTER, lambda w, h: made.shortest(w, h, 224, 256, half=int)),
    "Siglip2ImageProcessor": ({}, lambda w, h: made.naflex(w, h, 16, 256)),
}
FAULTS = {
    made.swapped: SWAPPED,
    made.whole_picture: WHOLE,
    made.half_of_the_picture: HALF,
    made.half_of_the_frame: HALF,
}


def placed(mode, size, resized=None):
    """The mapping of one of open_clip's modes, or of timm's."""
    if mode == "squash":
        return lambda w, h: made.squash(w, h, size)
    if mode in ("longest", "border"):
        return lambda w, h: made.longest(w, h, size)
    return lambda w, h: made.shortest(w, h, size, resized)


def by_open_clip(name, tag):
    """What `create_model_and_transforms` would give for these weights."""
    vision, told = open_clip.get_model_config(name)["vision_cfg"], {}
    for key, value in open_clip.pretrained.get_pretrained_cfg(name, tag).items():
        if key in ("mean", "std", "interpolation", "resize_mode"):
            told[key] = value
    cfg = PreprocessCfg(size=vision["image_size"], **told)
    return image_transform_v2(cfg, is_train=False), placed(cfg.resize_mode, vision["image_size"])


def by_timm(name):
    cfg = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    size = cfg["input_size"][-1]
    resized = int(size / cfg["crop_pct"])
    return timm.data.create_transform(**cfg), placed(cfg["crop_mode"], size, resized)


def by_hf(name):
    keys, place = HF[name]
    processor = getattr(transformers, name)(**keys)
    if name == "Siglip2ImageProcessor":
        return lambda image: processor(images=image, return_tensors="pt"), place
    return made.by_hf(processor), place


def ours(name, geometry="pad"):
    """Our own embedder around a tower without weights, in our frame or as others show pictures."""
    with torch.device("meta"):
        tower = make_tower(name)
    embedder = ModelEmbedder.__new__(ModelEmbedder)  # its tokenizer may be on a hub
    embedder.model = SimpleNamespace(tower=tower)
    embedder.framing = Framing(geometry, tower.image_size)
    return embedder, placed(MODES[geometry], tower.image_size)


def onnx(name):
    """A folder of `export format=onnx`, read as the command reads it; the graphs are empty,
    since nothing but the frame is asked."""
    size = open_clip.get_model_config(name)["vision_cfg"]["image_size"]
    with tempfile.TemporaryDirectory() as folder:
        told = {"image_size": [size, size], "background": [255, 255, 255]}
        (Path(folder) / "onnx_config.json").write_text(json.dumps(told))
        for graph in ("image_encoder", "text_encoder"):
            (Path(folder) / f"{graph}.onnx").touch()
        Tokenizer(WordLevel({"": 0}, "")).save(f"{folder}/tokenizer.json")
        graphs = open_encoder(f"onnx:{folder}", device=torch.device("cpu")).embedder
    return graphs, placed("longest", size)


def module():
    """Code of one's own, as `model=module:` takes it."""
    spec = "module:tests.eval.conformance.adapters.ones_own"
    return open_encoder(spec, device=torch.device("cpu")).embedder, made.squash


def every():
    """Name -> a function that gives an adapter and the mapping of its frame."""
    found = {
        f"ours {name} {geometry}": lambda name=name, geometry=geometry: ours(name, geometry)
        for name in OURS
        for geometry in MODES
    }
    found |= {f"onnx {name}": lambda name=name: onnx(name) for name in OURS[:2]}
    found["module"] = module
    named = {f"open_clip {name}": (by_open_clip, name, tag) for name, tag in OPEN_CLIP.items()}
    named |= {f"timm {name}": (by_timm, name) for name in TIMM}
    named |= {f"hf {name}": (by_hf, name) for name in HF}
    for title, (make, *words) in named.items():
        found[title] = lambda title=title, make=make, words=words: adapter(title, *make(*words))
    return found


def adapter(title, transform, place):
    made.LIBRARIES[title] = (transform, place)
    kind = made.Patches if "Siglip2" in title else made.Adapter
    return kind(title), place


def look(build):
    """(largest error in frame pixels, what is wrong or "")"""
    own, place = build()
    try:
        report = refuse(own)
    except UserError as error:
        return abs(check(own).worst[2]), str(error)
    bars = any(abs(x) > 1 for size in ((900, 225), (225, 900)) for x in place(*size)[2:4])
    for fault, cause in FAULTS.items():
        line = pointed(report, SimpleNamespace(fault=fault, place=place)).refusal()
        if cause not in line and (bars or fault is not made.whole_picture):
            return abs(report.worst[2]), f"{fault.__name__} is told as {line or 'right'!r}"
    return abs(report.worst[2]), ""


def run(names=()):
    """How many conform, the largest error of all of them, and what is wrong with the others."""
    warnings.simplefilter("ignore")
    if unknown := set(names) - set(every()):
        sys.exit(f"{', '.join(sorted(unknown))}: unknown; choose from {', '.join(every())}")
    began, wrong, errors = time.perf_counter(), [], []
    for name, build in every().items():
        if not names or name in names:
            error, why = look(build)
            errors.append(error)
            wrong += [f"{name}: {why}"] if why else []
    return {
        "what": "frames",
        "conform": len(errors) - len(wrong),
        "faults_refused": len(FAULTS),
        "largest_error_px": round(max(errors), 2),
        "wrong": wrong,
        "seconds": round(time.perf_counter() - began),
    }


if __name__ == "__main__":
    found = run(sys.argv[1:])
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
