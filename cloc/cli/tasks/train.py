"""What `train` does with its configuration: parts are built and joined, and trained."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.plugins.environments import ClusterEnvironment
from omegaconf import DictConfig

from cloc.checkpoints.places import place_of
from cloc.cli.build.callbacks import make_callbacks
from cloc.cli.build.guards import check_batch, own_processes
from cloc.cli.build.start import adapt, keep_start, model_settings
from cloc.cli.config.compose import as_typed, make, plain
from cloc.cli.launch.cpu import tune_for_cpu
from cloc.cli.launch.first_process import decided, environment, kept_if_begun
from cloc.cli.launch.job import Job, goes_on, prepare, run_folder
from cloc.cli.launch.peers import Peers
from cloc.cli.launch.resume import check_data, is_used, shards_before
from cloc.data.collate import ModelInput
from cloc.data.datamodule import RegionData
from cloc.errors import UserError
from cloc.models.build import build_model
from cloc.models.cloc import CLOC
from cloc.models.compiling import compile_parts
from cloc.models.towers import Tower
from cloc.training.checkpoint_io import CheckpointFolders
from cloc.training.module import CLOCModule
from cloc.training.optim import rated_groups


def run_job(compose: Callable[[], DictConfig], peers: Peers, *, trust: Sequence[str]) -> None:
    """The whole run; `compose` is called in the first process alone, which tells the others."""
    quiet()
    with decided(peers, lambda: prepare(compose(), peers, trust).dump()) as words:
        job = Job.load(words)
        cfg = job.cfg()
        run = run_folder(cfg)
        if job.done >= cfg.steps:
            return
        with nullcontext() if peers.rank else kept_if_begun(run):
            train(cfg, run, job, peers)


def train(cfg: DictConfig, run: Path, job: Job, peers: Peers) -> None:
    """Builds the parts and fits; what of them needs the process group waits for it."""
    if cfg.trainer.accelerator == "cpu":
        tune_for_cpu()
    L.seed_everything(cfg.seed, verbose=False)

    model = build_model(**model_settings(cfg, run, resumed=bool(job.done)))
    if not peers.rank:
        keep_start(cfg, run, model)
    module = make_module(cfg, model)
    folders = CheckpointFolders(place_of(run, cfg.checkpoints), keep=cfg.checkpoint_keep)
    data = make_data(cfg, model.tower, steps=cfg.steps, skip_batches=job.done)
    if job.done:
        data.before = shards_before(run)
        check_data(run, data.digest())
    for line in data.unmet():
        if not peers.rank:
            print(line, file=sys.stderr)
    trainer = make_trainer(cfg, run, model, data, folders=folders, environment=environment(peers))
    if job.done and not peers.rank:  # behind all that may refuse it
        begun = LambdaCallback(on_train_start=lambda *_: goes_on(run, job))
        trainer.callbacks.append(begun)  # type: ignore[attr-defined]
    resume = folders.path(job.done) if job.done else None
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    if trainer.is_global_zero:
        print(
            as_typed(f"{run}: {cfg.steps} steps; measure it with cloc-pretrain evaluate run={run}")
        )


def quiet() -> None:
    """Keeps from the terminal what Lightning and wandb say there and no user can act on."""
    os.environ.setdefault("WANDB_SILENT", "true")
    # which devices exist and are used (provenance.json has them), tips for other products
    for name in ("pytorch.utilities.rank_zero", "fabric.utilities.distributed"):
        logging.getLogger(f"lightning.{name}").setLevel(logging.WARNING)
    # on every machine with Slurm; who started the processes is known (launch/first_process.py)
    warnings.filterwarnings("ignore", "The `srun` command is available")
    # Lightning 2.6 on torch 2.14
    warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
    # frozen towers, and what is adapted by LoRA
    warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode")
    # a resumed run: the loader is told how many batches to skip, the folder is the run's own
    warnings.filterwarnings("ignore", ".*your dataloader is not resumable")


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


def make_data(cfg: DictConfig, tower: Tower, *, steps: int, skip_batches: int = 0) -> RegionData:
    """What else stands in `data` is there for `data.sources` to point at."""
    settings = {key: value for key, value in plain(cfg.data).items() if is_used(key)}
    data: RegionData = make(settings)(
        wants=wanted_input(tower, cfg.region_context),
        batch_size=cfg.batch_size,
        steps=steps,
        seed=cfg.seed,
        skip_batches=skip_batches,
        timeout_s=cfg.failures.loader_s,
    )
    return data


def make_trainer(
    cfg: DictConfig,
    run: Path,
    model: CLOC,
    data: RegionData,
    *,
    folders: CheckpointFolders,
    environment: ClusterEnvironment,
) -> L.Trainer:
    """Trainer, loggers and the habits of a run."""
    trainer: L.Trainer = make(cfg.trainer)(
        max_steps=cfg.steps,
        logger=list(make(cfg.logger).values()),
        callbacks=make_callbacks(cfg, run, model, data, folders),
        plugins=[environment, folders],
        default_root_dir=run,  # a hpc_ckpt_*.ckpt that lies where one stands would be loaded
        log_every_n_steps=cfg.log_every,
        use_distributed_sampler=False,
        enable_progress_bar=sys.stdout.isatty(),
        enable_model_summary=False,
    )
    return own_processes(trainer, model, timeout_s=cfg.failures.timeout_s)


def wanted_input(tower: Tower, region_context: int | str) -> ModelInput:
    """`region_context: full` is the only right one where short texts are not exact."""
    full = region_context == "full"
    if not full and not tower.short_text_exact:
        raise UserError(
            f"region_context={region_context}, but this text tower reads the padding too, so short "
            "texts would have other embeddings; set region_context=full"
        )
    return ModelInput(
        image_size=tower.image_size,
        tokenize=tower.tokenizer(),
        context_length=tower.context_length,
        region_context=tower.context_length if full else int(region_context),
        background=tower.background,
    )
