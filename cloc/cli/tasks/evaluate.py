"""What `evaluate` does with its configuration: metrics.json, and for a run report.html."""

import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import torch
from omegaconf import DictConfig
from rich.table import Table

from cloc import dist
from cloc.cli.config.compose import make, plain
from cloc.cli.pages.cases import write_cases
from cloc.cli.tasks.evaluate_output import features_at, refuse_place, write_figures
from cloc.data.eval_splits import read_split
from cloc.data.samples.json_files import read_mapping
from cloc.errors import UserError
from cloc.eval import extractors
from cloc.eval.conformance import refuse
from cloc.eval.encoders.encoder import TEXTS_OF, Encoder, of_model, open_encoder
from cloc.eval.encoders.permuted import AFTER, BEFORE, permuted
from cloc.eval.encoders.precision import in_precision
from cloc.eval.encoders.two_towers import joined
from cloc.eval.partial import limited
from cloc.eval.permutation import LINE
from cloc.eval.predictions import look
from cloc.eval.runner import evaluate, has_own_data, refuse_empty
from cloc.frame import WHITE, Colour
from cloc.interfaces import Embedder, Split
from cloc.models.load import load_model
from cloc.report.build import build_report
from cloc.terminal import plain_console
from data_prep.pretrained import known_device


def measure(cfg: DictConfig) -> None:
    """Prints a table of the main metrics too. Of several ranks all measure and the first writes."""
    dist.meet()
    device = known_device(cfg.device)  # not tuned as for training: memory goes back to the system
    encoder, folder = chosen_encoder(cfg, device)
    refuse(encoder.embedder, name=encoder.name)
    benchmarks = chosen_benchmarks(cfg)
    background = WHITE if encoder.model is None else encoder.model.tower.background
    own_data = {name for name, benchmark in benchmarks.items() if has_own_data(benchmark)}
    splits = [] if len(own_data) == len(benchmarks) else chosen_splits(cfg, background)
    asked = any(benchmark.uses_regions for benchmark in benchmarks.values())
    others = chosen_extractors(encoder.embedder, cfg.extractors, asked=asked)
    has_head = encoder.has_regions
    started = time.monotonic()
    results = evaluate(
        {"": encoder.embedder, **others},
        splits=splits,
        benchmarks=benchmarks,
        own_regions=has_head,
        features=partial(features_at, cfg, encoder, folder),
        together=True,
        permuted=chosen_controls(encoder, others) if cfg.permuted else {},
    )
    refuse_empty(results, splits, benchmarks)
    if dist.rank():
        return
    seconds = time.monotonic() - started
    write_figures(cfg, encoder, results, folder, splits, own_data=own_data, seconds=seconds)
    plain_console().print(summary(results))
    page = folder / "cases.html"
    if write_cases(page, results, splits, shown=cfg.gallery, title=encoder.name):
        print(page)
    if cfg.run is not None:
        shown = encoder.embedder if has_head else extracted(encoder.embedder, "roi")
        examples = splits[0].examples[: cfg.gallery] if splits else ()
        items = [look(shown, example) for example in examples]
        twin = None if cfg.twin is None else Path(cfg.twin)
        print(build_report(folder, twin=twin, gallery=items))


def chosen_encoder(cfg: DictConfig, device: torch.device) -> tuple[Encoder, Path]:
    """The encoder and the folder its numbers go to."""
    if cfg.run is not None:
        model = load_model(Path(cfg.run), ema=cfg.ema, wise_ft=cfg.wise_ft)
        encoder, folder = of_model(model, str(cfg.run), frame=cfg.frame, device=device), cfg.run
    elif cfg.out is None:
        raise UserError("with model= give out=DIR too: metrics.json is written there")
    else:
        refuse_place(Path(cfg.out))
        seen = {"frame": cfg.frame, "image_size": plain(cfg)["image_size"]}
        encoder, folder = open_encoder(str(cfg.encoder), **seen, device=device), cfg.out
    if cfg.text_encoder is not None:
        texts = open_encoder(str(cfg.text_encoder), device=device, key="text_encoder")
        encoder = joined(encoder, texts)
    if not encoder.has_texts:
        raise UserError(f"model={encoder.name} has no text tower; {TEXTS_OF}")
    return in_precision(encoder, cfg.precision, device=device), Path(folder)


def chosen_extractors(
    embedder: Embedder, names: Sequence[str] | None, *, asked: bool
) -> dict[str, Embedder]:
    """Of the command; or crops, and patches where a single one of this encoder means something, if
    any region is `asked` about."""
    if names is not None:
        return {name: extracted(embedder, name) for name in names}
    if not asked:
        return {}
    found = {"crop": extracted(embedder, "crop")}
    try:
        found["roi"] = extracted(embedder, "roi")
    except UserError as error:
        print(f"left out: {error}", file=sys.stderr)
    return found


def chosen_controls(encoder: Encoder, extractors: Iterable[str]) -> dict[str, dict[str, Embedder]]:
    """The encoder with patches in another order, of both kinds, through all extractors."""
    return {
        kind: {"": embedder, **{name: extracted(embedder, name) for name in extractors}}
        for kind, embedder in permuted(encoder).items()
    }


def extracted(embedder: Embedder, name: str) -> Embedder:
    """Regions by one of the files of `cloc.eval.extractors`."""
    known = sorted(
        module.name
        for module in iter_modules(extractors.__path__)
        if hasattr(import_module(f"{extractors.__name__}.{module.name}"), "extractor")
    )
    if name not in known:
        raise UserError(f"extractors=[{name}]: unknown; choose from {known}")
    made: Embedder = import_module(f"{extractors.__name__}.{name}").extractor(embedder)
    return made


def chosen_benchmarks(cfg: DictConfig) -> dict[str, Any]:
    """Those that read their own data keep to `limit` themselves."""
    if not cfg.benchmarks:
        raise UserError("benchmarks=[]; give one or more, or leave it out")
    made = {name: make(benchmark) for name, benchmark in cfg.benchmarks.items()}
    return {
        name: limited(one, cfg.limit, name=name) if has_own_data(one) else one
        for name, one in made.items()
    }


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


def summary(results: dict[str, dict[str, float]]) -> Table:
    """One row per metric that has a chance line; beside it, where they were measured, what it is
    with patches shuffled before positions and with tokens shuffled after them."""
    kinds = {"patches shuffled": f"_{LINE}_{BEFORE}", "tokens shuffled": f"_{LINE}_{AFTER}"}
    every = {metric for values in results.values() for metric in values}
    shown = {h: end for h, end in kinds.items() if any(name.endswith(end) for name in every)}
    table = Table("benchmark", "metric", "value", "chance", *shown)
    for name, values in results.items():
        for metric in values:
            if f"{metric}_chance" in values:
                columns = ("", "_chance", *shown.values())
                found = [values.get(f"{metric}{end}") for end in columns]
                table.add_row(name, metric, *("" if x is None else f"{x:.3f}" for x in found))
    return table
