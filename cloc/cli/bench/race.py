"""Plain CLIP through our `train` against `python -m open_clip_train.main`, the same work.

Both are started as commands, in turns: the same model, batch, precision, optimizer settings, loader
workers, threads and input: black pictures of the model's size, all with the same caption, which
open_clip makes up (`--dataset-type synthetic`) and we read from shards. Each side's own clock is
read at the start of every step, when its batch is there, so a step's time holds everything: the
loader, logging (every 10 steps, both) and whatever stands around the step.
"""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import PIL.Image
import torch

from cloc.cli.bench import open_clip_trainer
from cloc.cli.bench.options import whole_number
from cloc.cli.bench.step import spread
from cloc.cli.launch.layout import chosen_precision
from cloc.data.samples.record import Caption, Record
from cloc.data.shards.writer import write_shards
from cloc.errors import UserError

STEPS, WARMUP = 24, 4
LOG_EVERY = 10
OPTIMIZER = {"lr": 5.0e-4, "beta1": 0.9, "beta2": 0.98, "eps": 1.0e-6, "wd": 0.2}
TOWER = "ViT-S-32-alt"  # of open_clip's list: what a CPU can train
CAPTION = "Dummy caption"  # as open_clip's synthetic data set has it


def race(options: Mapping[str, str], *, repeat: int) -> dict[str, Any]:
    """Images per second over the steps of all turns, and the ratio of ours in each turn."""
    tower, device = options.get("tower", TOWER), options.get("device", "cpu")
    size = open_clip.get_model_config(tower)
    if size is None:
        raise UserError(f"tower={tower}: open_clip has no such model; try {TOWER} or ViT-B-32")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda, but this machine has no CUDA device; leave device out")
    images = whole_number(options, "images", 16)
    workers = whole_number(options, "workers", 1)
    turns: dict[str, list[Times]] = {"ours": [], "open_clip": []}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_black(place / "shards", size["vision_cfg"]["image_size"], count=STEPS * images)
        commands = {
            "ours": ours(place, tower, device, images, workers),
            "open_clip": theirs(place, tower, device, images, workers),
        }
        for turn in range(repeat):
            for side in sorted(commands, reverse=bool(turn % 2)):  # each comes first in turn
                turns[side].append(clocked(commands[side], place / f"{side}-{turn}"))
    speeds = {
        clock: compared({side: _speeds(found, clock, images) for side, found in turns.items()})
        for clock in ("wall", "own")
    }
    return {
        "images_per_s": speeds["wall"],
        "images_per_cpu_s": speeds["own"],  # others on the machine do not count
        **{"tower": tower, "device": device, **same(device, images, workers)},
    }


class Times(NamedTuple):
    """Seconds of each step of one turn: on the wall, and of the command's own process."""

    wall: list[float]
    own: list[float]


def _speeds(turns: list[Times], clock: str, images: int) -> list[list[float]]:
    return [[images / seconds for seconds in getattr(times, clock)] for times in turns]


def compared(speeds: Mapping[str, list[list[float]]]) -> dict[str, Any]:
    """Spread over the steps of all turns; a ratio is that of the medians of one turn."""
    medians = {side: [statistics.median(x) for x in turns] for side, turns in speeds.items()}
    ratios = [a / b for a, b in zip(medians["ours"], medians["open_clip"], strict=True)]
    return {
        **{side: spread(list(chain(*turns))) for side, turns in speeds.items()},
        "ours_over_open_clip": float(f"{statistics.median(ratios):.3g}"),
        "ratio_of_each_turn": [float(f"{ratio:.3g}") for ratio in ratios],
    }


def same(device: str, images: int, workers: int) -> dict[str, Any]:
    return {
        "batch_size": images,
        "precision": chosen_precision("auto", device),
        "workers": workers,
        "steps_of_a_turn": STEPS,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "open_clip": open_clip.__version__,
    }


def write_black(folder: Path, size: int, *, count: int) -> None:
    """Shards of black pictures of `size` pixels."""
    file = io.BytesIO()
    PIL.Image.new("RGB", (size, size)).save(file, "JPEG")
    data, caption = file.getvalue(), (Caption(CAPTION),)
    records = (Record(f"{i}", data, "jpg", size, size, caption, ()) for i in range(count))
    write_shards(records, folder, samples_per_shard=count)


def ours(place: Path, tower: str, device: str, images: int, workers: int) -> list[str]:
    """The arguments of `train`: the CLIP twin of the paper's recipe, on this tower."""
    settings = {
        "experiment": "clip_paper_vit_b16",
        "trainer": {"cpu": "cpu", "cuda": "gpu"}[device],
        "logger": "[jsonl]",
        "model.tower.config": tower,
        "region_context": "full",  # right for every tower, and there are no regions
        "data.train": str(place / "shards"),
        "data.num_workers": workers,
        "steps": STEPS,
        "batch_size": images,
        "accumulate": 1,
        "optimizer.lr": OPTIMIZER["lr"],
        "optimizer.betas": f"[{OPTIMIZER['beta1']},{OPTIMIZER['beta2']}]",
        "optimizer.eps": OPTIMIZER["eps"],
        "optimizer.weight_decay": OPTIMIZER["wd"],
        "checkpoint_every": STEPS + 1,
        "eval.every": 0,
        "log_every": LOG_EVERY,
    }
    return ["ours", *(f"{key}={value}" for key, value in settings.items())]


def theirs(place: Path, tower: str, device: str, images: int, workers: int) -> list[str]:
    """The arguments of `open_clip_train.main`."""
    half = chosen_precision("auto", device) == "bf16-mixed"
    settings = {
        "dataset-type": "synthetic",
        "train-num-samples": STEPS * images,
        "epochs": 1,
        "model": tower,
        "batch-size": images,
        "precision": "amp_bf16" if half else "fp32",
        "workers": workers,
        "device": device,
        "warmup": 2000,
        "log-every-n-steps": LOG_EVERY,
        **OPTIMIZER,
    }
    return ["open_clip", *(word for key, v in settings.items() for word in (f"--{key}", str(v)))]


def clocked(command: list[str], folder: Path) -> Times:
    """The steps after the warm-up of one run, in a process and a folder of its own."""
    side, *arguments = command
    folder.mkdir()
    where = {"ours": [f"runs={folder}", "name=run"], "open_clip": ["--logs", str(folder)]}[side]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "cloc.cli.bench.race",
            side,
            str(folder / "clock.json"),
            *arguments,
            *where,
        ],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(f"{side} did not run: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    starts = json.loads((folder / "clock.json").read_text())[WARMUP:]
    return Times(*([b - a for a, b in pairwise(clock)] for clock in zip(*starts, strict=True)))


class Clock:
    """Notes when each step starts; a GPU is waited for, on both sides alike."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.starts: list[tuple[float, float]] = []

    def tick(self) -> None:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        self.starts.append((time.perf_counter(), time.process_time()))

    def write(self) -> None:
        self.path.write_text(json.dumps(self.starts))


def run_ours(clock: Clock, arguments: list[str]) -> None:
    """`train.main`, with one more callback."""
    import lightning as L

    from cloc.cli import train
    from cloc.cli.build.parts import Run
    from cloc.cli.tasks import train as train_task

    class Ticks(L.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            clock.tick()

    build = train_task.build

    def with_clock(*given: Any) -> Run:
        run = build(*given)
        run.trainer.callbacks.append(Ticks())  # type: ignore[attr-defined]
        return run

    train_task.build = with_clock  # type: ignore[assignment]
    train.main(arguments)


def run_theirs(clock: Clock, arguments: list[str]) -> None:
    """`open_clip_train.main`, whose scheduler is called first in every step."""
    main: Any = open_clip_trainer.module("main")
    make_schedule = main.cosine_lr

    def with_clock(*given: Any) -> Any:
        schedule = make_schedule(*given)

        def step(number: int) -> None:
            clock.tick()
            schedule(number)

        return step

    main.cosine_lr = with_clock
    main.main(arguments)


if __name__ == "__main__":
    clock = Clock(sys.argv[2])
    {"ours": run_ours, "open_clip": run_theirs}[sys.argv[1]](clock, sys.argv[3:])
    clock.write()
