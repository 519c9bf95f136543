"""A run: what the first process decides, the parts that are built of it, and the fit."""

import logging
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import lightning as L
from omegaconf import DictConfig

from cloc.cli.build.parts import build
from cloc.cli.config.compose import as_typed
from cloc.cli.launch.cpu import tune_for_cpu
from cloc.cli.launch.first_process import decided, kept_if_begun
from cloc.cli.launch.job import Job, prepare, run_folder
from cloc.cli.launch.peers import Peers


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
    """Builds the run and fits."""
    if cfg.trainer.accelerator == "cpu":
        tune_for_cpu()
    L.seed_everything(cfg.seed, verbose=False)
    (module, data), trainer, resume = build(cfg, run, job, peers)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    if trainer.is_global_zero:
        cure = as_typed(f"cloc-pretrain evaluate run={run}")
        print(f"{run}: {cfg.steps} steps; measure it with {cure}")


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
