"""Uneven, empty and ragged shard sets on two ranks: equal steps, paired collectives, nothing lost.

python -m tests.faults.layouts [LAYOUTS] [SEED]     # 200 and 0; one line of JSON
"""

import json
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from cloc import dist
from cloc.data.collate import ModelInput
from cloc.data.datamodule import RegionData
from cloc.data.shards.index import write_index
from cloc.data.sources import cloc_regions
from cloc.data.stream.mixture import Source
from cloc.data.stream.order import Shuffle
from tests.helpers.ranks import run_ranks
from tests.helpers.shards import make_shards, spell, write_tar

LARGEST = 12  # samples of a shard


def prepare(folder):
    """One shard of every size from 0 to the largest; their samples differ."""
    folder.mkdir()
    write_tar(folder / "00.tar", {})
    write_index(folder / "00.tar")
    for size in range(1, LARGEST + 1):
        made = make_shards(folder / f"made{size}", shards=1, each=size)
        for suffix in ("tar", "idx"):
            (made / f"shard-000000.{suffix}").rename(folder / f"{size:02d}.{suffix}")


def draw(rng):
    """Sizes of the shards (0 among them, one sample in all at least), batch, steps and shape."""
    sizes = [rng.choice((0, 0, 1, *range(LARGEST + 1))) for _ in range(rng.randrange(1, 9))]
    sizes[0] = max(sizes[0], 1)
    batch = 2 * rng.randrange(1, 5)
    steps = -(-2 * sum(sizes) // batch) + 1  # beyond the second epoch
    return sizes, batch, min(steps, 60), Shuffle(rng.randrange(1, 9), rng.randrange(1, 9))


def one(shards, sizes, batch, steps, shuffle, *, number, workers):
    """What went wrong with one layout: every step all ranks say where they are."""
    paths = [str(shards / f"{size:02d}.tar") for size in sizes]
    data = RegionData(
        {"train": Source(paths, cloc_regions.parse)},
        wants=ModelInput(8, spell, 24, 16),
        batch_size=batch,
        steps=steps,
        shuffle=shuffle,
        num_workers=workers,
        seed=number,
    )
    seen, wrong = [], []
    for step, found in enumerate(data.train_dataloader()):
        everybody = dist.gather_objects(((number, step), len(found.keys), found.keys))
        if len({place for place, *_ in everybody}) > 1:
            wrong.append(f"layout {number}: {everybody} are paired")
        seen += [key for *_, keys in everybody for key in keys]
    ends = dist.gather_objects(step + 1)
    if set(ends) != {steps}:
        wrong.append(f"layout {number}: {ends} steps, expected {steps}")
    whole = Counter(f"{i:05d}" for size in sizes for i in range(size))
    total = sum(sizes)
    for epoch in range(len(seen) // total):
        if Counter(seen[epoch * total : (epoch + 1) * total]) != whole:
            wrong.append(f"layout {number}: epoch {epoch} is not every sample once")
    return wrong


def sweep(rank, shards, layouts, seed, result):
    """All layouts in one pair of processes: a hang in one would stop all the others."""
    warnings.simplefilter("ignore")
    rng, wrong = random.Random(seed), []
    for number in range(layouts):
        sizes, batch, steps, shuffle = draw(rng)
        workers = int(number % 20 == 19)
        wrong += one(shards, sizes, batch, steps, shuffle, number=number, workers=workers)
    if rank == 0:
        Path(result).write_text(json.dumps(wrong))


def run(layouts, seed=0):
    """The figures; a hang is an error after ten minutes."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        prepare(place / "shards")
        args = (place / "shards", layouts, seed, place / "result.json")
        run_ranks(sweep, *args, timeout_s=600)
        wrong = json.loads((place / "result.json").read_text())
    return {
        "what": "layouts",
        "layouts": layouts,
        "hangs": 0,  # else there would be an error
        "mispaired_or_missed": len(wrong),
        "wrong": wrong[:5],
        "seconds": round(time.perf_counter() - began),
    }


if __name__ == "__main__":
    from tests.faults import layouts  # the ranks find its functions by this name

    found = layouts.run(*map(int, sys.argv[1:] or ["200"]))
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
