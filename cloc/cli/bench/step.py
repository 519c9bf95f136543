"""A training step as the benchmarks run it, and runs in turns with the spread of their times."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed
from omegaconf import DictConfig

from cloc.cli.build.parts import Parts, make_module, make_parts
from cloc.cli.config.compose import plain
from cloc.cli.launch.layout import chosen_precision
from cloc.interfaces import RegionBatch
from cloc.models.build import build_model
from cloc.training.module import CLOCModule

TWIN = {"region_head": None, "region_scale": None, "box_head": None}


def clip_twin(cfg: DictConfig) -> DictConfig:
    """The same run without region head and region losses."""
    twin = cfg.copy()
    twin.model.update(TWIN)
    twin.losses = {"image_text": cfg.losses.image_text}
    twin.weights = {"image_text": cfg.weights.image_text}
    return twin


def parts_of(cfg: DictConfig, *, steps: int) -> Parts:
    """Of a new model, for this many steps."""
    torch.manual_seed(cfg.seed)
    return make_parts(cfg, build_model(**plain(cfg.model)), steps=steps)


def make_step(
    cfg: DictConfig,
    module: CLOCModule | None = None,
    *,
    device: str = "cpu",
    compiled: bool = False,
) -> Callable[[RegionBatch], None]:
    """Forward, losses, backward and update of `module`, or of a new one, in the precision of the
    config, without Lightning."""
    if module is None:
        torch.manual_seed(cfg.seed)
        module = make_module(cfg, build_model(**plain(cfg.model)))
    module.to(device)
    module.log_dict = lambda *a, **k: None  # type: ignore[method-assign]  # no trainer here
    optimizer = module.configure_optimizers()["optimizer"]
    half = chosen_precision(cfg.trainer.precision, device) == "bf16-mixed"
    if compiled:
        module.model.compile()

    def run(batch: RegionBatch) -> None:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss = module.training_step(batch, 0)
        loss.backward()
        if cfg.trainer.gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(module.model.parameters(), cfg.trainer.gradient_clip_val)
        optimizer.step()
        optimizer.zero_grad()

    return run


def in_turns(
    runs: Mapping[str, Callable[[], None]],
    repeat: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each call by `clock`, one of each in every round; the first three rounds warm
    up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(repeat + 3):
        for name, run in runs.items():
            started = clock()
            run()
            if round_ >= 3:
                times[name].append(clock() - started)
    return times


def spread(values: list[float]) -> dict[str, float]:
    """Median and quartiles, three significant digits; of a single value itself."""
    several = values if len(values) > 1 else values * 2
    low, middle, high = statistics.quantiles(several, n=4)
    return {k: float(f"{v:.3g}") for k, v in (("median", middle), ("q1", low), ("q3", high))}


def circumstances(cfg: DictConfig, batch_size: int) -> dict[str, Any]:
    return {
        "batch_size": batch_size,
        "precision": chosen_precision(cfg.trainer.precision, "cpu"),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
