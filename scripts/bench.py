"""Measures speed: `python scripts/bench.py what=step experiment=NAME`; JSON on the last line.

`what=loader experiment=NAME` is the training loader alone, `what=loader shards=DIR` the loader
against open_clip's own on photographs of captioned shards, `what=scenes` the generator of scenes,
`what=plan` the planning of a million shards, `what=dirt` the loader on shards with 1 % bad images
against clean ones, `what=seek` how long the first batch takes in the middle of a shard,
`what=loss` time and memory of the losses up to 131,072 columns,
`what=save` how long a checkpoint of 400 MiB stops training, against the whole of its saving.

`what=tax experiment=NAME` is what regions cost beside plain CLIP, in FLOPs and in time, `what=race`
plain CLIP against open_clip's own trainer, `what=doctor experiment=NAME` names what limits a run
and predicts its length, `what=gpu experiment=NAME` gives images/s, MFU and memory of a GPU.
`what=prep` is what the engines of data preparation cost beside a plain loop.
`what=memory experiment=NAME trainer.devices=8 trainer.num_nodes=4` estimates what a GPU must hold.

Ratios are of runs in the same process, in turns, so that a noisy machine hits both alike.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import _bench_save
import torch
from _bench_data import dirt, plan, seek
from _bench_doctor import doctor
from _bench_gpu import gpu
from _bench_loss import loss
from _bench_memory import memory
from _bench_options import OWN_OPTIONS, check_own, trains_on_gpu, with_data
from _bench_peer import ratio_of_totals, sides
from _bench_race import race
from _bench_save import saves
from _bench_step import circumstances, clip_twin, in_turns, make_step, spread
from _bench_tax import tax
from _cpu import tune_for_cpu
from _failures import ends_well
from _run import cli, compose_config, plain
from omegaconf import DictConfig
from train import make_data

from cloc import dist
from cloc.data.scenes import composed, scene
from cloc.errors import UserError
from cloc.interfaces import RegionBatch
from cloc.models.build import build_model

Measure = Callable[..., dict[str, Any]]


def main(overrides: list[str]) -> None:
    names = ("what=", "repeat=", "shards=", *(f"{name}=" for name in OWN_OPTIONS))
    options = dict(o.split("=", 1) for o in overrides if o.startswith(names))
    others = [o for o in overrides if o.split("=")[0] not in options]
    own = {name: options.pop(name) for name in OWN_OPTIONS if name in options}
    what, repeat = options.get("what"), int(options.get("repeat", 15))
    alone, of_a_run = measures_alone(own), measures_of_a_run(own)
    if what == "loader" and "shards" in options:
        alone["loader"] = partial(against_open_clip, options.pop("shards"))
    check_own(what, own)
    if what in alone and not others and "shards" not in options:
        answer = alone[what](repeat=repeat)
        if dist.rank() == 0:
            print(json.dumps({"what": what, **answer}))
        return
    if what not in of_a_run or "shards" in options:
        raise UserError(
            f"what={what}; choose {', '.join(of_a_run)} with experiment=NAME, loader with "
            f"shards=DIR, or one of {', '.join(alone)} alone"
        )
    cfg = compose_config("train", with_data(what, others))
    if not trains_on_gpu(what, cfg.trainer.accelerator):
        tune_for_cpu()
    found = of_a_run[what](cfg, repeat=repeat)
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
        "save": saving,
        "scenes": drawing,
        "plan": lambda repeat: plan(),
        "dirt": dirty,
        "seek": seeking,
        "loss": lambda repeat: loss(),
        "race": partial(race, own),
        "prep": partial(preparing, own),
    }


def preparing(own: Mapping[str, str], *, repeat: int) -> dict[str, Any]:
    """Its packages (ray) are needed for nothing else here."""
    from _bench_prep import prep

    return prep(own, repeat=repeat)


def step(cfg: DictConfig, *, repeat: int) -> dict[str, Any]:
    """Images per second of a whole training step, CLOC and its CLIP twin, and their ratio."""
    steps = {"cloc": make_step(cfg), "clip": make_step(clip_twin(cfg))}
    batch = next(batches(cfg, steps=1))
    times = in_turns({name: partial(run, batch) for name, run in steps.items()}, repeat)
    images = len(batch.images)
    speeds = {name: spread([images / t for t in taken]) for name, taken in times.items()}
    ratio = spread([a / b for a, b in zip(times["clip"], times["cloc"], strict=True)])
    return {"images_per_s": speeds, "cloc_over_clip": ratio, **circumstances(cfg, images)}


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


def saving(*, repeat: int) -> dict[str, Any]:
    """See `_bench_save.saves`."""
    seconds = saves(repeat=repeat)
    ratio = float(f"{sum(seconds['blocked']) / sum(seconds['waited']):.3g}")
    found = {name: spread(values) for name, values in seconds.items()}
    size = {"mib": _bench_save.MIB, "ranks": dist.world_size()}
    return {"seconds": found, "blocked_over_waited": ratio, **size}


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


if __name__ == "__main__":
    cli(main, ends=ends_well)
