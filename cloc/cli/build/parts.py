"""From the configuration to finished parts, once and top to bottom; past here nobody reads it."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.callbacks import LambdaCallback
from omegaconf import DictConfig

from cloc.checkpoints.locations import place_of
from cloc.cli.build.callbacks import make_callbacks
from cloc.cli.build.guards import check_batch, own_processes
from cloc.cli.build.start import adapt, keep_start, model_settings
from cloc.cli.config.compose import make, plain
from cloc.cli.launch.first_process import environment
from cloc.cli.launch.job import Job, goes_on
from cloc.cli.launch.peers import Peers
from cloc.cli.launch.resume import check_data, is_used, shards_before
from cloc.data.collate import ModelInput
from cloc.data.datamodule import RegionData
from cloc.decoder.asking import Asking
from cloc.decoder.build import box_words
from cloc.errors import UserError
from cloc.models.build import build_model
from cloc.models.cloc import CLOC
from cloc.models.compiling import compile_parts
from cloc.models.made import made
from cloc.models.towers import Tower
from cloc.terminal import shows_bars
from cloc.training.checkpoint_io import CheckpointFolders
from cloc.training.module import CLOCModule
from cloc.training.optim import rated_groups


class Parts(NamedTuple):
    """What learns, and what it learns from."""

    module: CLOCModule  # the model, its losses with their weights, its optimizer and schedule
    data: RegionData  # the samples of every step, from the one on at which the run goes on


class Run(NamedTuple):
    """All that a run is made of."""

    parts: Parts
    trainer: L.Trainer  # loggers and callbacks in it, and where ranks meet
    resume: str | None  # the checkpoint it goes on from


def build(cfg: DictConfig, run: Path, job: Job, peers: Peers) -> Run:
    """The run in the folder `run`; what of it needs the process group waits for it.
    `UserError` for what does not fit together, before anything is written but the run's start."""
    model = build_model(**model_settings(cfg, run, resumed=bool(job.done)))
    if job.done and cfg.decoder is not None and cfg.decoder.get("start"):
        cfg.decoder.start = str(run)  # its checkpoint has it all, wherever it came from
    if not peers.rank:
        keep_start(cfg, run, model)
    parts = make_parts(cfg, model, steps=cfg.steps, skip_batches=job.done)
    data = parts.data
    folders = CheckpointFolders(place_of(run, cfg.checkpoints), keep=cfg.checkpoint_keep)
    if job.done:
        data.before = shards_before(run)
        check_data(run, data.digest())
    for line in data.unmet():
        if not peers.rank:
            print(line, file=sys.stderr)
    callbacks = make_callbacks(cfg, run, model, data, folders)
    if job.done and not peers.rank:  # behind all that may refuse it
        callbacks.append(LambdaCallback(on_train_start=lambda *_: goes_on(run, job)))
    trainer: L.Trainer = make(cfg.trainer)(
        max_steps=cfg.steps,
        logger=list(make(cfg.logger).values()),
        callbacks=callbacks,
        plugins=[environment(peers), folders],
        default_root_dir=run,  # a hpc_ckpt_*.ckpt that lies where one stands would be loaded
        log_every_n_steps=cfg.log_every,
        use_distributed_sampler=False,
        enable_progress_bar=shows_bars(),
        enable_model_summary=False,
    )
    own_processes(trainer, model, timeout_s=cfg.failures.timeout_s)
    return Run(parts, trainer, folders.path(job.done) if job.done else None)


def make_parts(cfg: DictConfig, model: CLOC, *, steps: int, skip_batches: int = 0) -> Parts:
    """For this many steps; what a run trains, a benchmark times, a page shows."""
    module = make_module(cfg, model)
    return Parts(module, make_data(cfg, model, steps=steps, skip_batches=skip_batches))


def make_module(cfg: DictConfig, model: CLOC) -> CLOCModule:
    """Losses and optimizer joined to the model; past this line there is no OmegaConf."""
    losses = make(cfg.losses)
    check_batch(cfg.batch_size, losses, plain(cfg.weights))
    adapt(cfg, model, losses)
    if cfg.patch_dropout:
        model.tower.drop_patches(cfg.patch_dropout)
    if cfg.recompute:
        model.tower.recompute_blocks()
    if cfg.compile:
        compile_parts(model)
    return CLOCModule(
        model,
        losses=losses,
        weights=plain(cfg.weights),
        optimizer=make(cfg.optimizer),
        schedule=partial(make(cfg.schedule), steps=cfg.steps),
        accumulate=cfg.accumulate,
        groups=partial(rated_groups, lr=cfg.optimizer.lr, **plain(cfg.rates)),
    )


def make_data(cfg: DictConfig, model: CLOC, *, steps: int, skip_batches: int = 0) -> RegionData:
    """What else stands in `data` is there for `data.sources` to point at."""
    settings = {key: value for key, value in plain(cfg.data).items() if is_used(key)}
    wants = wanted_input(model.tower, cfg.region_context)
    if model.decoder is not None:
        options = {key: x for key, x in plain(cfg.decoder).items() if key in ("kinds", "slots")}
        wants = replace(wants, ask=made(Asking, options, "decoder", box_words(model)))
    data: RegionData = make(settings)(
        wants=wants,
        batch_size=cfg.batch_size,
        steps=steps,
        seed=cfg.seed,
        skip_batches=skip_batches,
        timeout_s=cfg.failures.loader_s,
    )
    return data


def wanted_input(tower: Tower, region_context: Any) -> ModelInput:
    """`region_context`, a number of tokens or full, which is the only right one where short texts
    are not exact."""
    full = region_context == "full"
    if not full and type(region_context) is not int:
        raise UserError(f"region_context={region_context}; give a number of tokens, or full")
    if not full and not tower.short_text_exact:
        raise UserError(
            f"region_context={region_context}, but this text tower reads the padding too, so short "
            "texts would have other embeddings; set region_context=full"
        )
    return ModelInput(
        image_size=tower.image_size,
        tokenize=tower.tokenizer(),
        context_length=tower.context_length,
        region_context=tower.context_length if full else region_context,
        background=tower.background,
    )
