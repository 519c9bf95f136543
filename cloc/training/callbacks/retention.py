"""A guard of the image-level skill that a fine-tuned model came with."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from torch import nn

from cloc import dist
from cloc.data.samples.json_files import read_mapping
from cloc.errors import UserError

Metrics = Mapping[str, Mapping[str, float]]
STOP, LOWER = "stop", "lower"


def check_then(then: str) -> None:
    """Where nothing is guarded yet as well: what is wrong now would be found out when it is."""
    if then not in (STOP, LOWER):
        raise UserError(f"retention.then={then}; choose {STOP} or {LOWER}")


class Retention(L.Callback):
    """Every so many steps, what share of the start's figures is left: `retention/BENCHMARK.METRIC`.

    `measure(model)` gives {benchmark: {metric: value}}. The start is measured once, before the
    first step, into `path`. Where the smallest share is below `floor`, the run ends with a
    checkpoint and a `UserError` (`then: stop`), or the weights of the losses `regional` are halved
    and the run goes on (`then: lower`), as often as the floor is crossed. Rank 0 decides for all.
    """

    def __init__(
        self,
        measure: Callable[[nn.Module], Metrics],
        *,
        path: Path,
        every_n_steps: int,
        floor: float | None,
        then: str,
        regional: Sequence[str],
        save: Callable[[L.Trainer], Any],
    ) -> None:
        check_then(then)
        if floor is not None and floor <= 0:
            raise UserError(f"retention.floor={floor}; give a share above 0, such as 0.98, or null")
        self.measure, self.path, self.every_n_steps = measure, path, every_n_steps
        self.floor, self.then, self.regional, self.save = floor, then, tuple(regional), save
        self.halved = 0

    def state_dict(self) -> dict[str, Any]:
        """How often the weights were halved."""
        return {"halved": self.halved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.halved = state_dict["halved"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Halves again what a resumed run had halved; measures the start of one that begins."""
        self._halve(pl_module, times=self.halved)
        if trainer.global_step:
            return
        found = self._measured(pl_module)
        if not any(found.values()):
            raise UserError(
                "retention.benchmarks find nothing to measure in eval.splits.val; set either"
            )
        if trainer.is_global_zero:
            staged = self.path.with_name(f"{self.path.name}.partial")
            staged.write_text(json.dumps(found, indent=2) + "\n")
            staged.replace(self.path)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """After the last step too: what is left then is the run's own figure."""
        step = trainer.global_step
        if step % self.every_n_steps and step != trainer.max_steps:
            return
        shares = dist.gather_objects(self._shares(pl_module))[0]
        for logger in trainer.loggers:
            logger.log_metrics({f"retention/{name}": share for name, share in shares.items()}, step)
        name = min(shares, key=lambda name: shares[name])
        if self.floor is None or shares[name] >= self.floor:
            return
        if self.then == LOWER:
            self._halve(pl_module, times=1)
            self.halved += 1
            return
        self.save(trainer)
        raise UserError(
            f"after step {step} {name} is {shares[name]:.3f} of what the start had, below "
            f"retention.floor={self.floor}; the checkpoint of this step is saved. Lower the rates "
            "(rates.factors, rates.layer_decay) or the regional weights, add losses=distill_image, "
            "or set retention.then=lower"
        )

    def _shares(self, pl_module: L.LightningModule) -> dict[str, float]:
        start = read_mapping(self.path, cure="restore it: it is what the start could do")
        now = self._measured(pl_module)
        return {
            f"{benchmark}.{metric}": now[benchmark][metric] / value
            for benchmark, metrics in start.items()
            for metric, value in metrics.items()
            if value > 0 and not metric.endswith("_chance") and metric in now[benchmark]
        }

    def _measured(self, pl_module: L.LightningModule) -> dict[str, dict[str, float]]:
        model: nn.Module = pl_module.model  # type: ignore[assignment]
        training = model.training
        found = {name: dict(metrics) for name, metrics in self.measure(model.eval()).items()}
        model.train(training)
        return found

    def _halve(self, pl_module: L.LightningModule, *, times: int) -> None:
        weights: dict[str, float] = pl_module.weights  # type: ignore[assignment]
        for name in self.regional:
            weights[name] *= 0.5**times
