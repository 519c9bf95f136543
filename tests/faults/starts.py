"""Two ranks with two workers each, started again and again: none may hang.

python -m tests.faults.starts [STARTS]     # 20; one line of JSON
"""

import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

from cloc import dist
from cloc.data.collate import ModelInput
from cloc.data.datamodule import RegionData
from cloc.data.sources import cloc_regions
from cloc.data.stream.mixture import Source
from tests.helpers.ranks import run_ranks
from tests.helpers.shards import make_shards, spell


def one(rank, shards):
    """The process group is there before the workers start, as in a run."""
    warnings.simplefilter("ignore")
    source = Source(str(shards), cloc_regions.parse)
    wants = ModelInput(8, spell, 24, 16)
    data = RegionData({"train": source}, wants=wants, batch_size=4, steps=6, num_workers=2)
    assert sum(1 for _ in data.train_dataloader()) == 6
    assert dist.gather_objects(rank) == [0, 1]


def run(starts):
    """The figures; a start of over two minutes is a hang."""
    began, failed = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as name:
        shards = make_shards(Path(name) / "set", shards=2, each=6)
        for _ in range(starts):
            try:
                run_ranks(one, shards, timeout_s=120)
            except AssertionError as error:
                failed.append(str(error))
    seconds = round(time.perf_counter() - began)
    well = starts - len(failed)
    return {"what": "starts", "starts": starts, "well": well, "wrong": failed, "seconds": seconds}


if __name__ == "__main__":
    from tests.faults import starts  # the ranks find its functions by this name

    found = starts.run(*map(int, sys.argv[1:] or ["20"]))
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
