"""The loader's other figures: planning a million shards, dirty shards, resuming in the middle."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from cloc.data.collate import ModelInput
from cloc.data.datamodule import RegionData
from cloc.data.samples.record import SCHEMA, Caption, Record, Region
from cloc.data.shards.manifest import MANIFEST
from cloc.data.shards.shard_set import open_shards
from cloc.data.shards.writer import write_shards
from cloc.data.sources import cloc_regions
from cloc.data.stream.mixture import Source

FOLDERS, SHARDS = 100, 10_000  # a million shards
BAD_SHARE = 0.01
SAMPLES = 10_000  # of the shard that is sought in
BATCH, SIZE = 64, 224
TURN = 4  # batches


def plan() -> dict[str, Any]:
    """Seconds and MiB of one rank for a million shards behind URLs, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FOLDERS):
            _write_manifest(Path(folder) / f"{number:03d}")
        command = [sys.executable, "-m", "cloc.cli.bench.data", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _write_manifest(folder: Path) -> None:
    folder.mkdir()
    shards = [
        {"name": f"shard-{i:06d}.tar", "samples": 1000, "bytes": 10**8 + i, "sha256": f"{i:064x}"}
        for i in range(SHARDS)
    ]
    (folder / MANIFEST).write_text(json.dumps({"schema": SCHEMA, "shards": shards}))


def _plan(folder: str) -> dict[str, Any]:
    """In the process that is measured: the shards, the first batch's places, and memory."""
    urls = [f"file://{path}/" for path in sorted(Path(folder).iterdir())]
    open_shards(urls[:1], key="shards")  # what is imported or set up once is no cost of a plan
    _forget_peak()
    before, began = _mib("VmRSS"), time.perf_counter()
    shards = open_shards(urls, key="shards")
    opened = time.perf_counter()
    sources = {"train": Source(urls, cloc_regions.parse)}
    data = RegionData(sources, wants=_wants(), batch_size=4096, steps=1)
    data.__dict__["shards"] = {"train": shards}  # opened above
    loader = data.train_dataloader()
    made = loader.stream.plan
    made.find()(made.places(0))
    planned = time.perf_counter()
    return {
        "shards": len(shards.paths),
        "open_s": round(opened - began, 2),
        "epoch_s": round(planned - opened, 2),
        "mib": round(_mib("VmHWM") - before),
    }


def _mib(field: str) -> float:
    """VmRSS, what this process holds now, or VmHWM, the most it held since `_forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{field}:")]
    return int(line.split()[1]) / 1024


def _forget_peak() -> None:
    """The peak of what was imported before is no cost of a plan (Linux: proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def dirt(*, repeat: int) -> dict[str, list[float]]:
    """Whole samples per second of this core, of clean shards and with one image in 100 broken."""
    torch.set_num_threads(1)
    count = (repeat + 1) * TURN * BATCH
    found: dict[str, list[float]] = {"clean": [], "dirty": []}
    with tempfile.TemporaryDirectory() as folder:
        streams = {}
        for name in found:
            path = Path(folder, name)
            write_shards(_photographs(count, bad=name == "dirty"), path, samples_per_shard=1000)
            streams[name] = _batches(path, steps=count // BATCH)
        for turn in range(repeat + 1):
            for name, stream in streams.items():
                started = time.process_time()
                whole = sum(int(next(stream).caption_valid.sum()) for _ in range(TURN))
                if turn:  # the first one fills the tokens' memory
                    found[name].append(whole / (time.process_time() - started))
    return found


def seek(*, repeat: int) -> dict[str, list[float]]:
    """Seconds to the first batch of a shard of 10,000 samples of 74 kB: from the start of a run,
    and at a random place in its middle."""
    found: dict[str, list[float]] = {"start": [], "middle": []}
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "set")
        write_shards(_photographs(SAMPLES, bad=False, side=384), path, samples_per_shard=SAMPLES)
        steps = SAMPLES // BATCH
        for _ in range(repeat):
            for name, skip in (("start", 0), ("middle", int(rng.integers(1, steps)))):
                began = time.perf_counter()
                next(_batches(path, steps=steps, skip_batches=skip))
                found[name].append(time.perf_counter() - began)
    return found


def _wants() -> ModelInput:
    return ModelInput(SIZE, _letters, 77, 16)


def _letters(texts: list[str], length: int) -> torch.Tensor:
    """Not a real vocabulary: what is measured is everything else."""
    rows = torch.zeros(len(texts), length, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        codes = [1, *map(ord, text), 2][:length]
        row[: len(codes)] = torch.tensor(codes)
    return rows


def _photographs(count: int, *, bad: bool, side: int = 320) -> Iterator[Record]:
    """The same noisy JPEG under `count` keys; if `bad`, cut short in one sample of 100."""
    rng, file = np.random.default_rng(0), BytesIO()
    small = PIL.Image.fromarray(rng.integers(0, 256, (side // 4, side // 4, 3), np.uint8))
    small.resize((side, side)).save(file, "JPEG", quality=90)
    image = file.getvalue()
    region = Region((10.0, 10.0, 200.0, 200.0), "a thing")
    every = round(1 / BAD_SHARE)
    for i in range(count):
        data = image[:2000] if bad and i % every == every // 2 else image
        yield Record(f"{i:06d}", data, "jpg", side, side, (Caption("noise"),), (region,))


def _batches(shards: Path, *, steps: int, skip_batches: int = 0) -> Iterator[Any]:
    data = RegionData(
        {"train": Source(str(shards), cloc_regions.parse)},
        wants=_wants(),
        batch_size=BATCH,
        steps=steps,
        drop_budget=1.0,
        skip_batches=skip_batches,
    )
    return iter(data.train_dataloader())


if __name__ == "__main__":
    print(json.dumps(_plan(sys.argv[1])))
