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
from cloc.decoder.vlm.diagnose import AT_LEAST, diagnose
from cloc.decoder.vlm.looker import Looker
from cloc.decoder.vlm.of_run import OfRun
from cloc.decoder.vlm.of_transformers import OfTransformers
from cloc.decoder.vlm.question import SLOT, Question, questions
from cloc.decoder.vlm.vlm import open_vlm
from cloc.errors import UserError
from cloc.frame import Colour
from cloc.scenes.wherebench.items import VERSION
from cloc.training.origin import device_name, git_commit
from data_prep.pretrained import known_device

SCHEMA = "cloc-diagnose-vlm/1"
SHOWN = 6  # pictures with maps


def measure_vlm(cfg: DictConfig) -> None:
    """Prints the page's path last."""
    started, device, folder = time.monotonic(), known_device(cfg.device), Path(cfg.out)
    refuse_place(folder)
    looker = opened(str(cfg.vlm), device)
    text = looker.asks if cfg.question is None else str(cfg.question)
    asked, source = asked_of(cfg, text, looker.background)
    found, shown = diagnose(
        looker, asked, batch_size=cfg.batch_size, top_heads=cfg.top_heads, shown=SHOWN
    )
    by_transformers = isinstance(looker, OfTransformers)
    theirs = {"transformers": version("transformers")} if by_transformers else {}
    document = {
        "schema": SCHEMA,
        "vlm": looker.name,
        "layout": looker.layout,
        "question": text,
        "frame": looker.frame,
        "shown": source,
        **found,
        "provenance": {
            "cloc": version("cloc-pretrain"),
            "commit": git_commit(),
            "torch": torch.__version__,
            **theirs,
            "device": device_name(device),
            "seconds": round(time.monotonic() - started, 1),
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    told = json.dumps(document, indent=2, allow_nan=False)
    (folder / "diagnose.json").write_text(told + "\n", encoding="utf-8")
    write_vlm_diagnosis(folder / "diagnose.html", document, shown)
    print(folder / "diagnose.html")


def opened(spec: str, device: torch.device) -> Looker:
    """`UserError` for what cannot be looked into."""
    kind, _, where = spec.partition(":")
    if kind == "run" and where:
        return OfRun(Path(where).expanduser(), device=device)
    return OfTransformers(open_vlm(spec, device=device))


def asked_of(cfg: DictConfig, text: str, background: Colour) -> tuple[list[Question], str]:
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
        background=background,
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
