"""What `diagnose vlm=` does with its configuration: diagnose.json, and diagnose.html to look at."""

import json
import time
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import torch
from omegaconf import DictConfig

from cloc.cli.config.compose import make, plain
from cloc.cli.pages.diagnosis_vlm import write_vlm_diagnosis
from cloc.cli.tasks.diagnose import DRAWN_AT, drawn
from cloc.cli.tasks.evaluate_output import refuse_place
from cloc.data.eval_splits import read_split
from cloc.decoder.vlm.diagnose import AT_LEAST, diagnose, is_square
from cloc.decoder.vlm.question import DEFAULT, SLOT, Question, questions
from cloc.decoder.vlm.vlm import VLM, open_vlm
from cloc.errors import UserError
from cloc.scenes.wherebench.items import VERSION
from cloc.training.origin import device_name, git_commit
from data_prep.pretrained import known_device

SCHEMA = "cloc-diagnose-vlm/1"
SHOWN = 6  # pictures with maps


def measure_vlm(cfg: DictConfig) -> None:
    """Prints the page's path last."""
    started, device, folder = time.monotonic(), known_device(cfg.device), Path(cfg.out)
    refuse_place(folder)
    text = DEFAULT if cfg.question is None else str(cfg.question)
    asked, source = asked_of(cfg, text)
    vlm = open_vlm(str(cfg.vlm), device=device)
    found, shown = diagnose(
        vlm, asked, batch_size=cfg.batch_size, top_heads=cfg.top_heads, shown=SHOWN
    )
    document = {
        "schema": SCHEMA,
        "vlm": vlm.name,
        "layout": vlm.model.config.model_type,
        "question": text,
        "frame": frame_of(vlm),
        "shown": source,
        **found,
        "provenance": {
            "cloc": version("cloc-pretrain"),
            "commit": git_commit(),
            "torch": torch.__version__,
            "transformers": version("transformers"),
            "device": device_name(device),
            "seconds": round(time.monotonic() - started, 1),
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    told = json.dumps(document, indent=2, allow_nan=False)
    (folder / "diagnose.json").write_text(told + "\n", encoding="utf-8")
    write_vlm_diagnosis(folder / "diagnose.html", document, shown)
    print(folder / "diagnose.html")


def frame_of(vlm: VLM) -> str:
    """In words."""
    return "own, of squares" if is_square(vlm) else "own"


def asked_of(cfg: DictConfig, text: str) -> tuple[list[Question], str]:
    """Questions about the first `images` of the shards, or of drawn pictures, that have something
    to ask about, and what they are in words."""
    if cfg.shards is None:
        found = list(questions(islice(drawn(DRAWN_AT), cfg.images), text))
        return found, f"WhereBench {VERSION}, drawn at {DRAWN_AT} px"
    split = read_split(
        plain(cfg)["shards"],
        name="val",
        parse=make(cfg.parse),
        limit=cfg.images,
        key="data",
        index_folder=cfg.index_folder,
    )
    found = list(questions(split.examples, text))
    if len(found) < AT_LEAST:
        with_regions = " with a region" if SLOT in text else ""
        cure = f"; or give a question= without {SLOT}" if SLOT in text else ""
        raise UserError(
            f"data={cfg.shards}: {len(found)} pictures{with_regions} among the first "
            f"{len(split.examples)}; give {AT_LEAST} or more{cure}"
        )
    return found, f"{cfg.shards}, {len(found)} of the first {len(split.examples)}"
