"""Pretrains a model: `python scripts/train.py experiment=NAME [any.override=...]`.

Writes `runs/NAME/`; `scripts/evaluate.py run=runs/NAME` measures it.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import PIL.Image
import torch
from _resume import check_data, checkpoint_to_resume, is_used, last_checkpoint, steps_done
from _run import cli, compose_config, make, plain, tune_for_cpu
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import DictConfig, OmegaConf

from cloc.data.collate import ModelInput
from cloc.data.datamodule import RegionData
from cloc.data.examples import read_split
from cloc.errors import UserError
from cloc.eval.runner import evaluate
from cloc.interfaces import Embedder, Example, Split
from cloc.models.build import build_model
from cloc.models.cloc import CLOC
from cloc.models.compiling import compile_parts
from cloc.models.embedder import ModelEmbedder, RoIEmbedder
from cloc.models.towers import Tower
from cloc.report.look import look, pictures
from cloc.training.callbacks.benchmarks import Benchmarks
from cloc.training.callbacks.drops import Drops
from cloc.training.callbacks.ema import EMA
from cloc.training.callbacks.grad_norms import GradNorms
from cloc.training.callbacks.pictures import FirstBatch, Pictures
from cloc.training.callbacks.provenance import Provenance
from cloc.training.callbacks.speed import Speed
from cloc.training.callbacks.weights import Weights
from cloc.training.module import CLOCModule
from cloc.training.optim import rated_groups


def main(overrides: list[str]) -> None:
    cfg = compose_config("train", overrides)
    run = Path(cfg.runs) / cfg.name
    resume = checkpoint_to_resume(cfg, run)
    done = steps_done(resume)
    if done >= cfg.steps:
        print(f"{run} is finished: {done} of {cfg.steps} steps")
        return
    quiet()
    if cfg.trainer.accelerator == "cpu":
        tune_for_cpu()
    L.seed_everything(cfg.seed, verbose=False)

    model = build_model(**plain(cfg.model))
    module = make_module(cfg, model)
    data = make_data(cfg, model.tower, steps=cfg.steps, skip_batches=done)
    if resume:
        check_data(run, data.digest())
    trainer = make_trainer(cfg, run, model.tower, data)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    if cfg.steps % cfg.checkpoint_every:  # the callback saves at multiples only
        trainer.save_checkpoint(last_checkpoint(run))
    if trainer.is_global_zero:
        print(f"{run}: {cfg.steps} steps; measure it with scripts/evaluate.py run={run}")


def quiet() -> None:
    """Keeps from the terminal what Lightning and wandb say there and no user can act on."""
    os.environ.setdefault("WANDB_SILENT", "true")
    # which devices exist and are used (provenance.json has them), tips for other products
    for name in ("pytorch.utilities.rank_zero", "fabric.utilities.distributed"):
        logging.getLogger(f"lightning.{name}").setLevel(logging.WARNING)
    # Lightning 2.6 on torch 2.14
    warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
    # a resumed run: the loader is told how many batches to skip, the folder is the run's own
    warnings.filterwarnings("ignore", ".*your dataloader is not resumable")
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")


def make_module(cfg: DictConfig, model: CLOC) -> CLOCModule:
    """Losses and optimizer joined to the model; past this line there is no OmegaConf."""
    if cfg.patch_dropout:
        model.tower.drop_patches(cfg.patch_dropout)
    if cfg.recompute:
        model.tower.recompute_blocks()
    if cfg.compile:
        compile_parts(model)
    return CLOCModule(
        model,
        losses=make(cfg.losses),
        weights=plain(cfg.weights),
        optimizer=make(cfg.optimizer),
        schedule=partial(make(cfg.schedule), steps=cfg.steps),
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
    )
    return data


def make_trainer(cfg: DictConfig, run: Path, tower: Tower, data: RegionData) -> L.Trainer:
    """Trainer, loggers and the habits of a run. `Speed` stands first: see its docstring."""
    check_precision(cfg.trainer.precision)
    ema = [] if cfg.ema.decay is None else [EMA(run, **cfg.ema, every_n_steps=cfg.checkpoint_every)]
    callbacks: list[L.Callback] = [
        Speed(every_n_steps=cfg.log_every),
        GradNorms(every_n_steps=cfg.log_every),
        Provenance(
            run,
            config=OmegaConf.to_yaml(cfg, resolve=True),
            seed=cfg.seed,
            data={
                "samples": {name: shards.total for name, shards in data.shards.items()},
                "digest": data.digest(),
            },
        ),
        *ema,
        Drops(run, every_n_steps=cfg.log_every),
        FirstBatch(run, decode=tower.words),
        Weights(run / "checkpoints", every_n_steps=cfg.checkpoint_every),
        ModelCheckpoint(
            run / "checkpoints",
            filename="last",
            every_n_train_steps=cfg.checkpoint_every,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        ),
        *in_loop_benchmarks(cfg, ema),
    ]
    trainer: L.Trainer = make(cfg.trainer)(
        max_steps=cfg.steps,
        logger=list(make(cfg.logger).values()),
        callbacks=callbacks,
        log_every_n_steps=cfg.log_every,
        use_distributed_sampler=False,
        enable_progress_bar=sys.stdout.isatty(),
        enable_model_summary=False,
    )
    return trainer


def check_precision(precision: str | int) -> None:
    """Lightning's half precisions turn the whole batch into halves, the boxes too."""
    if str(precision) in ("bf16-true", "16-true"):
        raise UserError(
            f"trainer.precision={precision} would round boxes to half precision; set "
            "trainer.precision=bf16-mixed"
        )


def in_loop_benchmarks(cfg: DictConfig, ema: Sequence[EMA]) -> list[L.Callback]:
    """Some benchmarks on a part of the val split, every `eval.every` steps; of the moving average
    where there is one."""
    if not cfg.eval.every or "val" not in cfg.eval.splits:
        return []
    if "ModelParallelStrategy" in str(cfg.trainer.strategy):
        raise UserError(
            f"eval.every={cfg.eval.every}: with trainer=fsdp no rank has the whole model in the "
            "loop; set eval.every=0 and measure with scripts/evaluate.py"
        )
    parse = make(cfg.data.parse)
    spec = cfg.eval.splits.val
    split = read_split(spec, name="val", parse=parse, limit=cfg.eval.limit, key="eval.splits.val")
    unknown = sorted(set(cfg.eval.in_loop) - set(cfg.benchmarks))
    if unknown:
        raise UserError(f"eval.in_loop={unknown}: unknown; choose from {sorted(cfg.benchmarks)}")
    benchmarks = {name: make(cfg.benchmarks[name]) for name in cfg.eval.in_loop}
    measure = partial(_measure, split=split, benchmarks=benchmarks, ema=ema)
    callbacks: list[L.Callback] = [Benchmarks(measure, every_n_steps=cfg.eval.every)]
    if set(cfg.logger) - {"jsonl"}:  # it takes no pictures
        draw = partial(_draw, examples=split.examples[:8], ema=ema)
        callbacks.append(Pictures(draw, every_n_steps=cfg.eval.every))
    return callbacks


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
    batches of other sizes would compile again."""
    with ExitStack() as stack:
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        for average in ema:
            stack.enter_context(average.averaged(model))
        yield _embedder(model)


def _embedder(model: CLOC) -> Embedder:
    """With the model's own region head, or RoIAlign where it has none."""
    return ModelEmbedder(model) if model.region_head is not None else RoIEmbedder(model)


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
    )


if __name__ == "__main__":
    cli(main)
