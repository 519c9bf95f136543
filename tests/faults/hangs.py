"""At every place where a rank waits for another: one of two gloo ranks is late, and is named.

python -m tests.faults.hangs     # one line of JSON

The places are those of DDP, of FSDP2 and of our own collectives, CUDA's by stand-ins; see
`tests.helpers.hangs`.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers.hangs import PLACES, wrong_at
from tests.helpers.ranks import run_ranks


def check(rank, path, places):
    found = wrong_at(dict.fromkeys(places, (1, 0)))
    if rank == 0:
        path.write_text(json.dumps(found))


def run(places=tuple(PLACES)):
    """The figures of the places named."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found"
        run_ranks(check, path, places, timeout_s=600)
        wrong = json.loads(path.read_text())
    return {
        "what": "hangs",
        "places": len(places),
        "wrong": wrong,
        "seconds": round(time.perf_counter() - began),
    }


if __name__ == "__main__":
    found = run()
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
