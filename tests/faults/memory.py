"""Memory of the loader's processes over many epochs: it must not grow.

python -m tests.faults.memory [EPOCHS]     # 20; one line of JSON
"""

import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

import psutil

from cloc.data.collate import ModelInput
from cloc.data.datamodule import RegionData
from cloc.data.sources import cloc_regions
from cloc.data.stream.mixture import Source
from tests.helpers.shards import make_shards, spell

EACH, SHARDS, BATCH = 200, 10, 20


def run(epochs):
    """MiB of this process and its two workers after each epoch of 2,000 samples."""
    warnings.simplefilter("ignore")
    began, mib = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as name:
        shards = make_shards(Path(name) / "set", shards=SHARDS, each=EACH)
        steps = EACH * SHARDS // BATCH
        data = RegionData(
            {"train": Source(str(shards), cloc_regions.parse)},
            wants=ModelInput(32, spell, 24, 16),
            batch_size=BATCH,
            steps=(epochs + 1) * steps,  # the workers are measured before they end
            num_workers=2,
        )
        for step, _ in enumerate(data.train_dataloader(), 1):
            if step % steps == 0 and len(mib) < epochs:
                mib.append(used())
    settled = mib[len(mib) // 4 :]  # what is kept for reuse has been filled by then
    return {
        "what": "memory",
        "epochs": epochs,
        "mib": mib,
        "growth_mib": round(settled[-1] - settled[0], 1),
        "seconds": round(time.perf_counter() - began),
    }


def used():
    """Unique memory of this process and all below it."""
    mine = psutil.Process()
    processes = [mine, *mine.children(recursive=True)]
    return round(sum(p.memory_full_info().uss for p in processes) / 2**20, 1)


if __name__ == "__main__":
    print(json.dumps(run(*map(int, sys.argv[1:] or ["20"]))))
