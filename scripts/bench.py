"""Measures speed: `python scripts/bench.py what=step experiment=NAME`; JSON on the last line.

`what=loader experiment=NAME` is the training loader alone, `what=loader shards=DIR` the loader
against open_clip's own on photographs of captioned shards, `what=scenes` the generator of scenes,
`what=plan` the planning of a million shards, `what=dirt` the loader on shards with 1 % bad images
against clean ones, `what=seek` how long the first batch takes in the middle of a shard,
`what=loss` time and memory of the losses up to 131,072 columns.

Ratios are of runs in the same process, in turns, so that a noisy machine hits both alike.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from _bench_data import dirt, plan, seek
from _bench_loss import loss
from _bench_peer import ratio_of_totals, sides
from _run import cli, compose_config, plain, tune_for_cpu
from omegaconf import DictConfig
from train import make_data, make_module

from cloc.data.scenes import composed, scene
from cloc.errors import UserError
from cloc.interfaces import RegionBatch
from cloc.models.build import build_model

TWIN = {"region_head": None, "region_scale": None, "box_head": None}


def main(overrides: list[str]) -> None:
    names = ("what=", "repeat=", "shards=")
    options = dict(o.split("=", 1) for o in overrides if o.startswith(names))
    others = [o for o in overrides if o.split("=")[0] not in options]
    of_a_run: dict[str, Callable[..., dict[str, Any]]] = {"step": step, "loader": loader}
    what, repeat = options.get("what"), int(options.get("repeat", 15))
    alone: dict[str, Callable[..., dict[str, Any]]] = {
        "scenes": drawing,
        "plan": lambda repeat: plan(),
        "dirt": dirty,
        "seek": seeking,
        "loss": lambda repeat: loss(),
    }
    if what == "loader" and "shards" in options:
        alone["loader"] = partial(against_open_clip, options.pop("shards"))
    if what in alone and not others and "shards" not in options:
        print(json.dumps({"what": what, **alone[what](repeat=repeat)}))
        return
    if what not in of_a_run or "shards" in options:
        raise UserError(
            f"what={what}; choose step or loader with experiment=NAME, loader with shards=DIR, or "
            f"one of {', '.join(alone)} alone"
        )
    cfg = compose_config("train", others)
    tune_for_cpu()
    print(json.dumps({"what": what, **of_a_run[what](cfg, repeat=repeat)}))


def step(cfg: DictConfig, *, repeat: int) -> dict[str, Any]:
    """Images per second of a whole training step, CLOC and its CLIP twin, and their ratio."""
    twin = cfg.copy()
    twin.model.update(TWIN)
    twin.losses = {"image_text": cfg.losses.image_text}
    twin.weights = {"image_text": cfg.weights.image_text}
    steps = {"cloc": make_step(cfg), "clip": make_step(twin)}
    batch = next(batches(cfg, steps=1))
    times = in_turns({name: partial(run, batch) for name, run in steps.items()}, repeat)
    images = len(batch.images)
    speeds = {name: spread([images / t for t in taken]) for name, taken in times.items()}
    ratio = spread([a / b for a, b in zip(times["clip"], times["cloc"], strict=True)])
    return {"images_per_s": speeds, "cloc_over_clip": ratio, **circumstances(cfg, images)}


def make_step(cfg: DictConfig) -> Callable[[RegionBatch], None]:
    """Forward, losses, backward and update, in the precision of the config, without Lightning."""
    torch.manual_seed(cfg.seed)
    model = build_model(**plain(cfg.model)).train()
    module = make_module(cfg, model)
    module.log_dict = lambda *a, **k: None  # type: ignore[method-assign]  # no trainer here
    optimizer = module.configure_optimizers()["optimizer"]
    half = str(cfg.trainer.precision).startswith("bf16")

    def run(batch: RegionBatch) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = module.training_step(batch, 0)
        loss.backward()
        if cfg.trainer.gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(model.parameters(), cfg.trainer.gradient_clip_val)
        optimizer.step()
        optimizer.zero_grad()

    return run


def loader(cfg: DictConfig, *, repeat: int) -> dict[str, Any]:
    """Samples per second of the training loader, with nobody consuming."""
    stream = batches(cfg, steps=repeat * 5 + 10)
    for _ in range(10):  # the workers start, the tokens fill their memory
        next(stream)
    speeds = []
    for _ in range(repeat):
        started = time.perf_counter()
        images = sum(len(next(stream).images) for _ in range(5))
        speeds.append(images / (time.perf_counter() - started))
    return {
        "samples_per_s": spread(speeds),
        "workers": cfg.data.num_workers,
        **circumstances(cfg, cfg.batch_size),
    }


def against_open_clip(shards: str, *, repeat: int) -> dict[str, Any]:
    """Samples per second of one core, and the ratios over all turns; see `_bench_peer.sides`."""
    speeds = sides(shards, repeat=repeat)
    ratios = {
        f"{above}_over_{below}": float(f"{ratio_of_totals(speeds[above], speeds[below]):.3g}")
        for above, below in (
            ("captions", "open_clip"),
            ("crop", "open_clip"),
            ("regions", "open_clip"),
            ("regions", "captions"),
        )
    }
    found = {name: spread(values) for name, values in speeds.items()}
    return {"samples_per_s": found, **ratios, "workers": 0, "torch": torch.__version__}


def dirty(*, repeat: int) -> dict[str, Any]:
    """See `_bench_data.dirt`; blank rows count for nothing."""
    speeds = dirt(repeat=repeat)
    found = {name: spread(values) for name, values in speeds.items()}
    ratio = float(f"{ratio_of_totals(speeds['dirty'], speeds['clean']):.3g}")
    return {"whole_samples_per_s": found, "dirty_over_clean": ratio}


def seeking(*, repeat: int) -> dict[str, Any]:
    """See `_bench_data.seek`."""
    return {"first_batch_s": {name: spread(times) for name, times in seek(repeat=repeat).items()}}


def drawing(*, repeat: int, count: int = 500) -> dict[str, Any]:
    """Scenes of 64 pixels a second of one core's own time, before and after encoding as PNG."""
    settings: dict[str, Any] = {"seed": 0, "size": 64, "twins": 0.4, "relational": 0.0}
    speeds: dict[str, list[float]] = {"composed": [], "encoded": []}
    for turn in range(repeat + 2):  # the first two draw the stamps
        for name, make in (("composed", composed), ("encoded", scene)):
            started = time.process_time()  # others on the machine do not count
            for index in range(turn * count, (turn + 1) * count):
                make("train", index, **settings)
            speeds[name].append(count / (time.process_time() - started))
    return {"scenes_per_s": {name: spread(values[2:]) for name, values in speeds.items()}}


def batches(cfg: DictConfig, *, steps: int) -> Iterator[RegionBatch]:
    tower = build_model(**plain(cfg.model)).tower
    data = make_data(cfg, tower, steps=steps)
    return iter(data.train_dataloader())


def in_turns(runs: dict[str, Callable[[], None]], repeat: int) -> dict[str, list[float]]:
    """Seconds of each call, one of each in every round; the first three rounds warm up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(repeat + 3):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if round_ >= 3:
                times[name].append(time.perf_counter() - started)
    return times


def spread(values: list[float]) -> dict[str, float]:
    """Median and quartiles, three significant digits."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {k: float(f"{v:.3g}") for k, v in (("median", middle), ("q1", low), ("q3", high))}


def circumstances(cfg: DictConfig, batch_size: int) -> dict[str, Any]:
    return {
        "batch_size": batch_size,
        "precision": cfg.trainer.precision,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    cli(main)
