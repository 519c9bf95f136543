"""What `cloc-pretrain bench` does with its options: one measurement, JSON on the last line."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig

from cloc import dist
from cloc.cli.bench import save as save_bench
from cloc.cli.bench.data import dirt, plan, seek
from cloc.cli.bench.doctor import doctor
from cloc.cli.bench.evaluation import evaluating
from cloc.cli.bench.gpu import gpu
from cloc.cli.bench.loss import loss
from cloc.cli.bench.memory import memory
from cloc.cli.bench.open_clip_loader import ratio_of_totals, sides
from cloc.cli.bench.options import OWN_OPTIONS, repeats, trains_on_gpu
from cloc.cli.bench.positions import positions
from cloc.cli.bench.race import race
from cloc.cli.bench.region_cost import tax
from cloc.cli.bench.save import saves
from cloc.cli.bench.startup import startup
from cloc.cli.bench.step import circumstances, clip_twin, in_turns, make_step, parts_of, spread
from cloc.cli.launch.cpu import tune_for_cpu
from cloc.interfaces import RegionBatch
from cloc.scenes import generate
from cloc.scenes.depth import generate as depth

Measure = Callable[..., dict[str, Any]]


def answer(options: Mapping[str, Any], cfg: DictConfig | None) -> None:
    """`cfg` is of the experiment that is measured; None where `what` is a question of its own."""
    own = {name: str(options[name]) for name in OWN_OPTIONS if options[name] is not None}
    what, repeat = options["what"], repeats(options)
    if cfg is None:
        alone = measures_alone(own)
        if options["shards"] is not None:
            alone["loader"] = partial(against_open_clip, options["shards"])
            alone["eval"] = partial(evaluating, own, options["shards"])
        found = alone[what](repeat=repeat)
    else:
        if not trains_on_gpu(what, cfg.trainer.accelerator):
            tune_for_cpu()
        found = measures_of_a_run(own)[what](cfg, repeat=repeat)
    if dist.rank() == 0:
        print(json.dumps({"what": what, **found}))


def measures_of_a_run(own: Mapping[str, str]) -> dict[str, Measure]:
    """Of the experiment that is named."""
    return {
        "step": step,
        "loader": loader,
        "tax": partial(tax, own),
        "doctor": partial(doctor, own),
        "gpu": partial(gpu, own),
        "memory": memory,
    }


def measures_alone(own: Mapping[str, str]) -> dict[str, Measure]:
    """Of no experiment."""
    return {
        "startup": startup,
        "save": saving,
        "scenes": drawing,
        "plan": lambda repeat: plan(),
        "dirt": dirty,
        "seek": seeking,
        "loss": lambda repeat: loss(),
        "race": partial(race, own),
        "prep": partial(preparing, own),
        "positions": partial(positions, own),
    }


def preparing(own: Mapping[str, str], *, repeat: int) -> dict[str, Any]:
    """Its packages (ray) are needed for nothing else here."""
    from cloc.cli.bench.prep import prep

    return prep(own, repeat=repeat)


def step(cfg: DictConfig, *, repeat: int) -> dict[str, Any]:
    """Images per second of a whole training step, CLOC and its CLIP twin, and their ratio."""
    module, data = parts_of(cfg, steps=1)
    steps = {"cloc": make_step(cfg, module), "clip": make_step(clip_twin(cfg))}
    batch: RegionBatch = next(iter(data.train_dataloader()))
    times = in_turns({name: partial(run, batch) for name, run in steps.items()}, repeat)
    images = len(batch.images)
    speeds = {name: spread([images / t for t in taken]) for name, taken in times.items()}
    ratio = spread([a / b for a, b in zip(times["clip"], times["cloc"], strict=True)])
    return {"images_per_s": speeds, "cloc_over_clip": ratio, **circumstances(cfg, images)}


def loader(cfg: DictConfig, *, repeat: int) -> dict[str, Any]:
    """Samples per second of the training loader, with nobody consuming."""
    data = parts_of(cfg, steps=repeat * 5 + 10).data
    stream: Iterator[RegionBatch] = iter(data.train_dataloader())
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
    """Samples per second of one core, and the ratios over all turns; see `bench.peer.sides`."""
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
    """See `bench.data.dirt`; blank rows count for nothing."""
    speeds = dirt(repeat=repeat)
    found = {name: spread(values) for name, values in speeds.items()}
    ratio = float(f"{ratio_of_totals(speeds['dirty'], speeds['clean']):.3g}")
    return {"whole_samples_per_s": found, "dirty_over_clean": ratio}


def seeking(*, repeat: int) -> dict[str, Any]:
    """See `bench.data.seek`."""
    return {"first_batch_s": {name: spread(times) for name, times in seek(repeat=repeat).items()}}


def saving(*, repeat: int) -> dict[str, Any]:
    """See `bench.save.saves`."""
    seconds = saves(repeat=repeat)
    ratio = float(f"{sum(seconds['blocked']) / sum(seconds['waited']):.3g}")
    found = {name: spread(values) for name, values in seconds.items()}
    size = {"mib": save_bench.MIB, "ranks": dist.world_size()}
    return {"seconds": found, "blocked_over_waited": ratio, **size}


def drawing(*, repeat: int, count: int = 500) -> dict[str, Any]:
    """Scenes of 64 pixels a second of one core's own time, flat and with depth, before and after
    encoding as PNG."""
    settings: dict[str, Any] = {"seed": 0, "size": 64, "twins": 0.4, "relational": 0.0}
    makers: dict[str, Callable[..., Any]] = {
        **{"composed": generate.composed, "encoded": generate.scene},
        **{"depth_composed": depth.composed, "depth_encoded": depth.scene},
    }
    speeds: dict[str, list[float]] = {name: [] for name in makers}
    for turn in range(repeat + 2):  # the first two draw the stamps
        for name, make in makers.items():
            started = time.process_time()  # others on the machine do not count
            for index in range(turn * count, (turn + 1) * count):
                make("train", index, **settings)
            speeds[name].append(count / (time.process_time() - started))
    return {"scenes_per_s": {name: spread(values[2:]) for name, values in speeds.items()}}
