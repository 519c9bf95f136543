"""What `diagnose` does with its configuration: diagnose.json, and diagnose.html to look at."""

import json
import time
from collections.abc import Iterator
from importlib.metadata import version
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from omegaconf import DictConfig
from torch import Tensor

from cloc.cli.config.compose import make, plain
from cloc.cli.pages.diagnosis import write_diagnosis
from cloc.cli.tasks.evaluate_output import refuse_place
from cloc.data.eval_splits import read_split
from cloc.errors import UserError
from cloc.eval.asking import batches
from cloc.eval.diagnosis.diagnose import AT_LEAST, diagnose
from cloc.eval.diagnosis.towers import opened
from cloc.eval.encoders.encoder import Encoder, of_model, open_encoder
from cloc.frame import WHITE, height_and_width
from cloc.interfaces import Example
from cloc.models.load import load_model
from cloc.scenes.wherebench.items import RELATIONS, VERSION, item
from cloc.scenes.wherebench.versions import GREATEST_SIZE, LEAST_SIZE
from cloc.training.origin import device_name, git_commit
from data_prep.pretrained import known_device

SCHEMA = "cloc-diagnose/1"
DRAWN_AT = 224  # pixels, for an encoder that does not say how large it sees a picture


def measure(cfg: DictConfig) -> None:
    """Prints the page's path last."""
    started, device = time.monotonic(), known_device(cfg.device)
    folder = Path(cfg.run if cfg.out is None else cfg.out)
    if cfg.out is not None:
        refuse_place(folder)
    encoder = chosen_encoder(cfg, device)
    view = opened(encoder)
    examples, source = pictures_of(cfg, encoder)
    asked = _prepared(encoder, examples, cfg.batch_size, squares=view.squares)
    found = diagnose(view, asked)
    document = {
        "schema": SCHEMA,
        "encoder": encoder.name,
        "frame": encoder.frame + (", of squares" if view.squares else ""),
        "shown": source,
        **found,
        "provenance": {
            "cloc": version("cloc-pretrain"),
            "commit": git_commit(),
            "torch": torch.__version__,
            "device": device_name(device),
            "seconds": round(time.monotonic() - started, 1),
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=2, allow_nan=False)
    (folder / "diagnose.json").write_text(text + "\n", encoding="utf-8")
    write_diagnosis(folder / "diagnose.html", document)
    print(folder / "diagnose.html")


def chosen_encoder(cfg: DictConfig, device: torch.device) -> Encoder:
    """It needs no texts."""
    if cfg.run is not None:
        model = load_model(Path(cfg.run))
        return of_model(model, str(cfg.run), frame=cfg.frame, device=device)
    seen = {"frame": cfg.frame, "image_size": plain(cfg)["image_size"]}
    return open_encoder(str(cfg.encoder), **seen, device=device)


def pictures_of(cfg: DictConfig, encoder: Encoder) -> tuple[Iterator[Example], str]:
    """The first `images` of the shards, or drawn ones, and what they are in words."""
    if cfg.shards is None:
        size = DRAWN_AT if encoder.framing is None else max(height_and_width(encoder.framing.size))
        size = min(max(size, LEAST_SIZE), GREATEST_SIZE)
        return islice(drawn(size), cfg.images), f"WhereBench {VERSION}, drawn at {size} px"
    background = WHITE if encoder.model is None else encoder.model.tower.background
    split = read_split(
        plain(cfg)["shards"],
        name="val",
        parse=make(cfg.parse),
        limit=cfg.images,
        key="data",
        background=background,
        index_folder=cfg.index_folder,
    )
    if len(split.examples) < AT_LEAST:
        raise UserError(f"data={cfg.shards}: a single picture; give {AT_LEAST} or more")
    return iter(split.examples), f"{cfg.shards}, the first {len(split.examples)}"


def drawn(size: int) -> Iterator[Example]:
    """Of each relation in turn the first picture of every item, the same on every machine."""
    for number in count():
        for relation in RELATIONS:
            yield item(relation, number, size=size).examples[0]


def _prepared(
    encoder: Encoder, examples: Iterator[Example], batch_size: int, *, squares: bool
) -> Iterator[Tensor]:
    no_boxes = np.zeros((0, 4), np.float32)
    for batch in batches(examples, size=batch_size):
        images: list[Any] = [_square(e.image) if squares else e.image for e in batch]
        yield encoder.embedder.prepare(images, [no_boxes] * len(images)).images


def _square(image: PIL.Image.Image) -> PIL.Image.Image:
    side = max(image.size)
    return image.resize((side, side), PIL.Image.Resampling.BICUBIC)
