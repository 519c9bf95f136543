"""Time and memory of the contrastive losses from 4,096 to 131,072 columns, on one rank of many.

The other ranks are simulated: torch's "fake" process group gathers without sending, so the code
that runs is that of a real rank. The dense form is what a rank without shards does: all rows.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as td
import torch.nn.functional as F
from torch import Tensor

from cloc.cli.bench.data import _forget_peak, _mib
from cloc.losses.image_text import image_text_loss
from cloc.losses.image_text_sigmoid import image_text_sigmoid_loss
from cloc.losses.region_text import region_text_loss

ROWS, DIM, CHUNK = 512, 512, 256
COLUMNS = tuple(2**power for power in range(12, 18))
FORMS = ("region_text", "image_text", "image_text_sigmoid", "dense")
DENSE_MATRICES = 5  # of all similarities, alive at once at its peak, as measured at 4,096


def loss() -> dict[str, Any]:
    """Seconds of forward and backward and MiB at the peak, each in a process of its own.

    The dense form is None where it would need more memory than is free; `needs_gib` says how much.
    """
    found: dict[str, Any] = {"rows": ROWS, "dim": DIM, "chunk": CHUNK, "torch": torch.__version__}
    for columns in COLUMNS:
        found[str(columns)] = {
            form: _alone(form, columns)
            if form != "dense" or _dense_gib(columns) < _free_gib()
            else None
            for form in FORMS
        }
        found[str(columns)]["dense_needs_gib"] = round(_dense_gib(columns), 1)
    return found


def _dense_gib(columns: int) -> float:
    return DENSE_MATRICES * columns**2 * 4 / 2**30


def _free_gib() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("MemAvailable")]
    return int(line.split()[1]) / 2**20


def _alone(form: str, columns: int) -> dict[str, float]:
    command = [sys.executable, "-m", "cloc.cli.bench.loss", form, str(columns)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measure(form: str, columns: int) -> dict[str, float]:
    """In the process that is measured. Every row is valid and nothing is alike."""
    from torch.testing._internal.distributed.fake_pg import FakeStore  # registers "fake"

    torch.manual_seed(0)
    ranks = 1 if form == "dense" else columns // ROWS
    td.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
    count = columns if form == "dense" else ROWS
    rows = [F.normalize(torch.randn(count, DIM), dim=-1).requires_grad_() for _ in range(2)]
    scale, bias = torch.tensor(50.0, requires_grad=True), torch.tensor(-10.0, requires_grad=True)
    run = _forms(torch.ones(count).bool(), scale, bias)[form]
    seconds = []
    _forget_peak()
    before = _mib("VmRSS")
    for _ in range(3 if columns <= 2**15 else 1):
        began = time.perf_counter()
        run(*rows).backward()
        seconds.append(time.perf_counter() - began)
    peak = _mib("VmHWM") - before
    return {"s": float(f"{statistics.median(seconds):.3g}"), "peak_mib": round(peak)}


def _forms(valid: Tensor, scale: Tensor, bias: Tensor) -> dict[str, Callable[..., Tensor]]:
    return {
        "region_text": lambda a, b: region_text_loss(a, b, valid, scale, chunk=CHUNK).value,
        "image_text": lambda a, b: image_text_loss(a, b, valid, scale, chunk=CHUNK),
        "image_text_sigmoid": lambda a, b: image_text_sigmoid_loss(
            a, b, valid, scale, bias, chunk=CHUNK
        ),
        "dense": lambda a, b: _dense(a, b, scale),
    }


def _dense(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    """CLIP's own form, all similarities at once, without a filter."""
    logits = scale * a @ b.T
    target = torch.arange(len(a))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]))))
