"""What a run does beside its steps: callbacks, benchmarks in the loop among them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import PIL.Image
import torch
from omegaconf import DictConfig

from cloc.cli.build.guards import guards
from cloc.cli.build.step_cost import mfu_settings
from cloc.cli.config.compose import make, plain
from cloc.data.datamodule import RegionData
from cloc.data.eval_splits import read_split
from cloc.data.shards.manifest import MANIFEST, read_manifest
from cloc.errors import UserError
from cloc.eval.extractors.roi import RoIEmbedder
from cloc.eval.predictions import look, pictures
from cloc.eval.runner import evaluate
from cloc.frame import Colour
from cloc.interfaces import Embedder, Example, Split
from cloc.models.cloc import CLOC
from cloc.models.embedder import ModelEmbedder
from cloc.models.start_folder import FOLDER
from cloc.training.callbacks.benchmarks import Benchmarks
from cloc.training.callbacks.checkpoints import Checkpoints
from cloc.training.callbacks.dropped_samples import Drops
from cloc.training.callbacks.ema import EMA
from cloc.training.callbacks.grad_norms import GradNorms
from cloc.training.callbacks.nothing_to_learn import Work
from cloc.training.callbacks.pictures import FirstBatch, Pictures
from cloc.training.callbacks.provenance import Provenance
from cloc.training.callbacks.rates import Rates
from cloc.training.callbacks.retention import Retention, check_then
from cloc.training.callbacks.speed import Speed
from cloc.training.checkpoint_io import CheckpointFolders
from cloc.training.fsdp import gathered

REGIONAL = {"region", "predicted_boxes", "extra.teacher_region"}  # what regional losses need


def make_callbacks(
    cfg: DictConfig, run: Path, model: CLOC, data: RegionData, folders: CheckpointFolders
) -> list[L.Callback]:
    """`Speed` stands first: see its docstring."""
    speed = Speed(every_n_steps=cfg.log_every, **mfu_settings(cfg, model, data))
    checkpoints = Checkpoints(
        folders,
        every_n_steps=cfg.checkpoint_every,
        every_n_minutes=cfg.checkpoint_minutes,
        ask_every_n_steps=cfg.log_every,
    )
    ema = [] if cfg.ema.decay is None else [EMA(**cfg.ema)]
    facts: dict[str, Any] = {
        "samples": {name: shards.total for name, shards in data.shards.items()},
        "licenses": licences(data),
        "digest": data.digest(),
    }
    return [
        speed,
        GradNorms(every_n_steps=cfg.log_every),
        Provenance(run, seed=cfg.seed, data=facts, shards=data.recorded()),
        Drops(run, unmet=data.skips.unmet, every_n_steps=cfg.log_every),
        Work(samples=sum(facts["samples"].values())),
        Rates(changed=cfg.resume_changes),
        FirstBatch(run, decode=model.tower.words),
        checkpoints,
        *ema,
        *guards(plain(cfg.failures), run, checkpoints.save),
        *in_loop_benchmarks(cfg, ema, data.wants.background),
        *retention(cfg, run, ema, checkpoints.save, data.wants.background),
    ]


def licences(data: RegionData) -> dict[str, str]:
    """What the manifests of the sources say under `license`."""
    folders = {
        name: Path(source.shards)
        for name, source in data.sources.items()
        if isinstance(source.shards, str) and (Path(source.shards) / MANIFEST).is_file()
    }
    found = {name: read_manifest(folder).get("license") for name, folder in folders.items()}
    return {name: _in_words(licence) for name, licence in found.items() if licence}


def _in_words(licence: Any) -> str:
    """An importer's manifest has the number of records of each licence."""
    if isinstance(licence, Mapping):
        return "; ".join(f"{name} ({count:,})" for name, count in licence.items())
    return str(licence)


def retention(
    cfg: DictConfig, run: Path, ema: Sequence[EMA], save: Any, background: Colour
) -> list[L.Callback]:
    """The guard of image-level skill, where `retention.benchmarks` names what to guard."""
    names = list(cfg.retention.benchmarks)
    check_then(cfg.retention.then)
    if not names:
        return []
    if cfg.start is None or "val" not in cfg.eval.splits or not cfg.eval.every:
        raise UserError(
            "retention.benchmarks compares with the start, on eval.splits.val every eval.every "
            "steps; set start=, eval.splits.val= and eval.every="
        )
    return [
        Retention(
            _in_loop(cfg, names, ema, background, key="retention.benchmarks"),
            path=run / FOLDER / "retention.json",
            every_n_steps=cfg.eval.every,
            floor=cfg.retention.floor,
            then=cfg.retention.then,
            regional=[n for n, loss in make(cfg.losses).items() if REGIONAL & set(loss.needs)],
            save=save,
        )
    ]


def in_loop_benchmarks(cfg: DictConfig, ema: Sequence[EMA], background: Colour) -> list[L.Callback]:
    """Some benchmarks on a part of the val split, every `eval.every` steps; of the moving average
    where there is one."""
    if not cfg.eval.every or "val" not in cfg.eval.splits:
        return []
    measure = _in_loop(cfg, cfg.eval.in_loop, ema, background, key="eval.in_loop")
    callbacks: list[L.Callback] = [Benchmarks(measure, every_n_steps=cfg.eval.every)]
    if set(cfg.logger) - {"jsonl"}:  # it takes no pictures
        draw = partial(_draw, examples=measure.keywords["split"].examples[:8], ema=ema)
        callbacks.append(Pictures(draw, every_n_steps=cfg.eval.every))
    return callbacks


def _in_loop(
    cfg: DictConfig, names: Sequence[str], ema: Sequence[EMA], background: Colour, *, key: str
) -> "partial[dict[str, dict[str, float]]]":
    parse, spec, limit = make(cfg.data.parse), cfg.eval.splits.val, cfg.eval.limit
    split = read_split(
        spec,
        name="val",
        parse=parse,
        limit=limit,
        key="eval.splits.val",
        background=background,
        index_folder=cfg.data.get("index_folder"),
    )
    unknown = sorted(set(names) - set(cfg.benchmarks))
    if unknown:
        raise UserError(f"{key}={unknown}: unknown; choose from {sorted(cfg.benchmarks)}")
    benchmarks = {name: make(cfg.benchmarks[name]) for name in names}
    return partial(_measure, split=split, benchmarks=benchmarks, ema=ema)


def _measure(
    model: CLOC, *, split: Split, benchmarks: Mapping[str, Any], ema: Sequence[EMA]
) -> dict[str, dict[str, float]]:
    with _evaluated(model, ema) as embedder:
        return evaluate({"": embedder}, splits=[split], benchmarks=benchmarks, progress=False)


def _draw(
    model: CLOC, *, examples: Sequence[Example], ema: Sequence[EMA]
) -> dict[str, list[PIL.Image.Image]]:
    with _evaluated(model, ema) as embedder:
        return pictures([look(embedder, example) for example in examples])


@contextmanager
def _evaluated(model: CLOC, ema: Sequence[EMA]) -> Iterator[Embedder]:
    """The model as the loop measures it: averaged where there is an average, never compiled, since
    batches of other sizes would compile again; whole where FSDP has spread it."""
    with ExitStack() as stack:
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        for average in ema:
            stack.enter_context(average.averaged(model))
        stack.enter_context(gathered(model))
        yield _embedder(model)


def _embedder(model: CLOC) -> Embedder:
    """With the model's own region head, or RoIAlign where it has none."""
    own = ModelEmbedder(model)
    return own if model.region_head is not None else RoIEmbedder(own)
