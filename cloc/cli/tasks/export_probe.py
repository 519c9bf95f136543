"""The pictures, boxes and phrases on which an export is compared with the model it comes from."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import yaml
from omegaconf import DictConfig

from cloc.cli.tasks.shard_problems import parse_any
from cloc.data.eval_splits import read_split
from cloc.data.samples.orientation import upright
from cloc.errors import UserError
from cloc.export.parity import TEXTS, Probe
from cloc.frame import Colour
from cloc.models.cloc import CLOC
from cloc.models.embedder import ModelEmbedder
from cloc.scenes.generate import composed

COUNT = 4  # pictures
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def make_probe(cfg: DictConfig, model: CLOC) -> Probe:
    """Pictures of `cfg.images`; where that is null of the run's `val` split, and where that is not
    at hand either, drawn scenes. The probe's `source` says which."""
    images, source = _pictures(cfg, model.tower.background)
    boxes = [_boxes(image) for image in images]
    x, framed, _ = ModelEmbedder(model).prepare(images, boxes)
    return Probe(x, framed, TEXTS, source)


def _pictures(cfg: DictConfig, background: Colour) -> tuple[Sequence[PIL.Image.Image], str]:
    if cfg.images is not None:
        return _folder(Path(cfg.images)), str(cfg.images)
    config = Path(cfg.run) / "config.yaml"
    run = yaml.safe_load(config.read_text()) if config.is_file() else {"eval": {"splits": {}}}
    shards = run["eval"]["splits"].get("val")
    if isinstance(shards, str) and Path(shards).is_dir():
        split = read_split(
            shards,
            name="val",
            parse=parse_any,
            limit=COUNT,
            key="images",
            background=background,
            index_folder=run.get("data", {}).get("index_folder"),
        )
        return [example.image for example in split.examples], shards
    drawn = [
        composed("val", index, seed=0, size=96, twins=0.0, relational=0.0)[0]
        for index in range(COUNT)
    ]
    return drawn, "the drawn scenes"


def _folder(folder: Path) -> list[PIL.Image.Image]:
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)[:COUNT]
    if not paths:
        raise UserError(f"images={folder}: no {', '.join(SUFFIXES)} there; give a folder of photos")
    return [upright(PIL.Image.open(path)) for path in paths]


def _boxes(image: PIL.Image.Image) -> np.ndarray:
    """All of it, its left half and its middle."""
    w, h = image.size
    return np.array([[0, 0, w, h], [0, 0, w / 2, h], [w / 4, h / 4, 3 * w / 4, 3 * h / 4]])
