"""Benchmarks while training: the same numbers as the final evaluation, every so many steps."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
from torch import nn


class Benchmarks(L.Callback):
    """`measure(model)` gives {benchmark: {metric: value}}, logged as `val/BENCHMARK.METRIC`.

    Every rank measures the same examples, without a collective, so that no rank waits in one for
    another; rank 0's loggers write.
    """

    def __init__(
        self,
        measure: Callable[[nn.Module], Mapping[str, Mapping[str, float]]],
        *,
        every_n_steps: int,
    ) -> None:
        self.measure = measure
        self.every_n_steps = every_n_steps

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Not after the last step: the final evaluation follows it."""
        step = trainer.global_step
        if step % self.every_n_steps or step == trainer.max_steps:
            return
        model: nn.Module = pl_module.model  # type: ignore[assignment]
        training = model.training
        results = self.measure(model.eval())
        model.train(training)
        values = {f"val/{b}.{m}": v for b, metrics in results.items() for m, v in metrics.items()}
        for logger in trainer.loggers:
            logger.log_metrics(values, step)
