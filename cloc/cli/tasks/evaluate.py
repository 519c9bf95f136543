"""What `evaluate` does with its configuration: metrics.json, and for a run report.html."""

import json
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.table import Table

from cloc.cli.config.compose import make, plain
from cloc.cli.launch.cpu import tune_for_cpu
from cloc.data.eval_splits import read_split
from cloc.data.samples.json_files import read_mapping
from cloc.errors import UserError
from cloc.eval.extractors import crop, roi
from cloc.eval.predictions import look
from cloc.eval.runner import evaluate, refuse_empty
from cloc.frame import WHITE, Colour
from cloc.interfaces import Embedder, Split
from cloc.models.build import build_model
from cloc.models.cloc import CLOC
from cloc.models.embedder import ModelEmbedder
from cloc.models.load import load_model
from cloc.models.start import KINDS
from cloc.report.build import build_report
from cloc.terminal import plain_console
from data_prep.pretrained import known_device


def measure(cfg: DictConfig) -> None:
    """Prints a table of the main metrics too."""
    device = chosen_device(cfg.device)
    model, folder = chosen_model(cfg)
    model = model.to(device)
    splits = chosen_splits(cfg, model.tower.background)
    own, extractors = embedders(model, cfg.extractors)
    benchmarks = {name: make(benchmark) for name, benchmark in cfg.benchmarks.items()}
    has_head = model.region_head is not None
    results = evaluate(
        {"": own, **extractors}, splits=splits, benchmarks=benchmarks, own_regions=has_head
    )
    refuse_empty(results, splits)
    write_metrics(results, folder)
    plain_console().print(summary(results))
    if cfg.run is not None:
        shown: Embedder = own if has_head else roi.RoIEmbedder(own)
        items = [look(shown, example) for example in splits[0].examples[: cfg.gallery]]
        twin = None if cfg.twin is None else Path(cfg.twin)
        print(build_report(folder, twin=twin, gallery=items))


def chosen_device(name: str) -> torch.device:
    """What is faster on a CPU takes flash attention from a GPU, so only a CPU is tuned."""
    device = known_device(name)
    if device.type == "cpu":
        tune_for_cpu()
    return device


def chosen_model(cfg: DictConfig) -> tuple[CLOC, Path]:
    """The model and the folder its numbers go to."""
    if cfg.run is not None:
        return load_model(Path(cfg.run), ema=cfg.ema, wise_ft=cfg.wise_ft), Path(cfg.run)
    if cfg.out is None:
        raise UserError("with model= give out=DIR too: metrics.json is written there")
    if str(cfg.encoder).partition(":")[0] in KINDS:
        return build_model({"start": str(cfg.encoder)}), Path(cfg.out)
    return load_model(Path(cfg.encoder)), Path(cfg.out)


def chosen_splits(cfg: DictConfig, background: Colour = WHITE) -> list[Split]:
    """Those of the command, else those the run was trained with; `val` first. `background` is the
    model's, behind transparent pixels."""
    given, index_folder = plain(cfg.splits), cfg.index_folder
    path = Path(str(cfg.run)) / "config.yaml"
    if cfg.run is not None and path.is_file():
        cure = "restore it, or move it away and give splits.val=SHARDS"
        trained = read_mapping(path, needs=("eval", "splits"), cure=cure)
        given = given or trained["eval"]["splits"]
        index_folder = index_folder or trained.get("data", {}).get("index_folder")
    if not given:
        raise UserError("no data to measure on; give splits.val=SHARDS")
    parse = make(cfg.parse)
    return [
        read_split(
            given[name],
            name=name,
            parse=parse,
            limit=cfg.limit,
            key=f"splits.{name}",
            background=background,
            index_folder=index_folder,
        )
        for name in sorted(given, key=lambda name: (name != "val", name))
    ]


def embedders(model: CLOC, names: list[str]) -> tuple[ModelEmbedder, dict[str, Embedder]]:
    """The model's own, and the other ways to embed a region that `names` asks for."""
    own = ModelEmbedder(model)
    known: dict[str, Any] = {"crop": crop.extractor, "roi": roi.RoIEmbedder}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"extractors={unknown}: unknown; choose from {sorted(known)}")
    return own, {name: known[name](own) for name in names}


def write_metrics(results: dict[str, dict[str, float]], folder: Path) -> None:
    """Staged and renamed: a reader never meets half a file."""
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / "metrics.json.partial"
    staged.write_text(json.dumps(results, indent=2) + "\n")
    staged.replace(folder / "metrics.json")


def summary(results: dict[str, dict[str, float]]) -> Table:
    """One row per metric that has a chance line."""
    table = Table("benchmark", "metric", "value", "chance")
    for name, values in results.items():
        for metric, value in values.items():
            if f"{metric}_chance" in values:
                table.add_row(name, metric, f"{value:.3f}", f"{values[f'{metric}_chance']:.3f}")
    return table
