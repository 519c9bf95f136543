"""A real trainer around a tiny real model, with its log lines kept."""

import os
from functools import partial

import lightning as L
import torch
from lightning.fabric.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import Logger

from cloc import dist
from cloc.losses.grounding import Grounding
from cloc.losses.image_text import ImageText
from cloc.losses.region_text import RegionText
from cloc.training.module import CLOCModule
from cloc.training.optim import warmup_cosine
from tests.helpers.models import make_model

LOSSES = {"image_text": ImageText, "region_text": RegionText, "grounding": Grounding}


class Kept(Logger):
    """Everything that was logged: (step, metrics)."""

    name, version = "kept", ""

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, params, *args):
        """Nothing."""


class Batches(list):
    """Batches as the run's own loader gives them: it counts the time it was waited for."""

    waited_s = 0.0


def make_module(model=None, *, losses=None, weights=None, lr=1e-2, steps=4):
    """The three losses of weight 1 around a tiny model in training mode, plain SGD."""
    losses = {name: loss() for name, loss in LOSSES.items()} if losses is None else losses
    return CLOCModule(
        (model or make_model()).train(),
        losses=losses,
        weights=dict.fromkeys(losses, 1.0) if weights is None else weights,
        optimizer=partial(torch.optim.SGD, lr=lr),
        schedule=partial(warmup_cosine, warmup=1, steps=steps),
    )


def fit(module, batches, folder, *, callbacks=(), loggers=(), **settings):
    """`len(batches)` steps on the CPU; every step is logged, unless told otherwise."""
    settings.setdefault("log_every_n_steps", 1)
    trainer = L.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_steps=len(batches),
        logger=list(loggers),
        callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"devices": 1, **settings},
    )
    trainer.fit(module, batches if isinstance(batches, Batches) else Batches(batches))
    return trainer


def of_ranks():
    """Settings and plugins of a trainer in one process, or in those that `run_ranks` started."""
    if dist.world_size() == 1:
        return {"devices": 1}, []
    os.environ.update(RANK=str(dist.rank()), LOCAL_RANK=str(dist.rank()))
    os.environ.update(WORLD_SIZE=str(dist.world_size()), GROUP_RANK="0")
    return {"devices": 2, "strategy": "ddp"}, [TorchElasticEnvironment()]
