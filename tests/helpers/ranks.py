"""Real gloo processes for tests: they meet through a file, so no port can clash.

A rank reports through a file and leaves by `os._exit`: a rare abort at interpreter exit was seen.
"""

import os
import pickle
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as td

from tests.helpers.warm import ROOT, Forked


def run_ranks(
    check: Callable[..., None], *args: Any, world: int = 2, timeout_s: float = 120
) -> None:
    """Runs `check(rank, *args)` in `world` processes; raises what the first failing rank raised.

    `check` is a function at the top of a test module; `args` travel by pickle.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "job").write_bytes(pickle.dumps((check, args, world, timeout_s)))
        processes = [_start(folder, rank) for rank in range(world)]
        try:
            failed = _wait(processes, time.monotonic() + timeout_s)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        if failed is not None:
            raise AssertionError(f"rank {failed} of {world}:\n{_report(folder, failed)}")


def _start(folder: Path, rank: int) -> Forked:
    output = folder / f"output-{rank}"
    argv = ("tests.helpers.ranks", folder, rank)
    return Forked(argv, module="tests.helpers.ranks", cwd=ROOT, out=output, err=output)


def _wait(processes: list[Forked], deadline: float) -> int | None:
    """The first rank that failed, or that is the last to be there at the deadline; None if all
    did well. One failure ends the wait: the others may hang in a collective."""
    while True:
        codes = [process.poll() for process in processes]
        for rank, code in enumerate(codes):
            if code not in (None, 0):
                return rank
        if None not in codes:
            return None
        if time.monotonic() > deadline:
            return codes.index(None)
        time.sleep(0.02)


def _report(folder: Path, rank: int) -> str:
    failure = folder / f"failure-{rank}"
    if failure.exists():
        return failure.read_text()
    output = (folder / f"output-{rank}").read_text(errors="replace")
    return f"no report before it ended or the time was up; it printed:\n{output}"


def _main(folder: Path, rank: int) -> None:
    try:
        check, args, world, timeout_s = pickle.loads((folder / "job").read_bytes())
        torch.set_num_threads(1)
        td.init_process_group(
            "gloo",
            init_method=f"file://{folder / 'meet'}",
            rank=rank,
            world_size=world,
            timeout=timedelta(seconds=timeout_s),
        )
        check(rank, *args)
        td.barrier()  # nobody leaves while another still talks to it
    except BaseException:
        (folder / f"failure-{rank}").write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
