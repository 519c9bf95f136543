"""Saves that are killed or run out of disk, and checkpoints with a flipped byte: none of them is
ever taken for whole.

python -m tests.faults.saves [KILLS] [FULL] [FLIPS] [SEED]     # 100, 20, 60, 0; one line of JSON

Checkpoints go to /dev/shm, so that they are on another filesystem than TMPDIR. The full disk is a
tmpfs where the user may mount one, else a write that fails as on a full disk (`"full_disk"` says).
A kill shows what a process leaves; what a power cut leaves is the business of fsync, whose order
tests/checkpoints/test_folder.py asserts.
"""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import torch

from cloc.checkpoints.folder import Damaged, HashedFile, check, folder_name, newest
from cloc.checkpoints.locations import place_of
from cloc.errors import UserError
from cloc.training.checkpoint_io import CheckpointFolders
from tests.helpers.checkpoints import save, tiny

SHM = Path("/dev/shm")
SIZE = 700  # 2 MB of weights and 4 MB of state: a save takes some 20 ms


def state(step):
    """What is saved at a step."""
    torch.manual_seed(step)
    moments = {"moments": torch.rand(2, SIZE, SIZE)}
    return {"optimizer_states": [{"state": {0: moments}, "param_groups": []}]}


def save_forever(run):
    """Goes on from the newest checkpoint, until it is killed."""
    folders = CheckpointFolders(place_of(run))
    folders.place.clean()
    step = newest(folders.place).step
    while True:
        step += 1
        save(folders, tiny(step, SIZE), step, **state(step))


def wait_for_a_save(staging, timeout_s=60):
    """Until something new is being written there."""
    before, end = set(staging.glob("*.partial")), time.monotonic() + timeout_s
    while time.monotonic() < end and not set(staging.glob("*.partial")) - before:
        time.sleep(0.001)


def is_right(run, step):
    """Whether the checkpoint is the one of its step."""
    found = CheckpointFolders(place_of(run)).load_checkpoint(folder_name(step))
    weights = torch.equal(found["state_dict"]["model.weight"], tiny(step, SIZE).weight)
    ours, theirs = (x["optimizer_states"][0]["state"][0]["moments"] for x in (found, state(step)))
    return found["global_step"] == step and weights and torch.equal(ours, theirs)


def kill_one(run, rng):
    """Forks a process that saves all the time, kills it; what is wrong then, and where it was."""
    before, child = newest(place_of(run)).step, os.fork()
    if child == 0:
        try:
            save_forever(run)
        finally:
            os._exit(1)
    wait_for_a_save(place_of(run).staging)
    time.sleep(rng.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        return "the process ended by itself", "ended"
    left = [path.name for path in place_of(run).staging.glob("*.partial")]
    moment = "between saves" if not left else "removing" if "removed" in left[0] else "writing"
    try:
        for step in place_of(run).steps():
            check(place_of(run), step)
        step = newest(place_of(run)).step
    except (Damaged, UserError) as error:
        return str(error), moment
    if step < before or (step and not is_right(run, step)):
        return f"step {step} after step {before}", moment
    return None, moment


def kills(place, count, rng):
    """How many kills left a checkpoint that is visible and not whole, and what they interrupted."""
    wrong, moments, done = [], {}, 0
    while done < count and not wrong:
        fault, moment = kill_one(place / "run", rng)
        moments[moment] = moments.get(moment, 0) + 1
        wrong += [fault] if fault else []
        done += moment != "between saves"
    return {
        "kills": count,
        "moments": moments,
        "steps": max(place_of(place / "run").steps()),
    }, wrong


@contextmanager
def small_disk(place):
    """A folder on a disk of 32 MiB, or None where none may be mounted."""
    disk = place / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield disk if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(disk)], check=True)


@contextmanager
def room_for(disk, size):
    """Leaves so many bytes on the disk, or lets so many be written."""
    if disk is None:
        written, write = [0], HashedFile.write

        def full(self, data):
            written[0] += memoryview(data).nbytes
            if written[0] > size:
                self.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                raise self.error
            return write(self, data)

        HashedFile.write = full
        try:
            yield
        finally:
            HashedFile.write = write
        return
    filler = disk / "filler"
    free = shutil.disk_usage(disk).free
    filler.write_bytes(bytes(max(free - size, 0)))
    try:
        yield
    finally:
        filler.unlink()


def full_disks(place, count, rng):
    """Saves with room for a random part of them: one line, and the one before stays whole."""
    wrong = []
    with small_disk(place) as disk:
        run = (disk or place) / "full"
        folders = CheckpointFolders(place_of(run), keep=1)
        save(folders, tiny(1, SIZE), 1, **state(1))
        for step in range(2, count + 2):
            said = ""
            with room_for(disk, rng.randrange(3 * 4 * SIZE * SIZE)):
                try:
                    save(folders, tiny(step, SIZE), step, **state(step))
                except UserError as error:
                    said = str(error)
            expected = f"{folder_name(step)} could not be saved: the disk is full; step-00000001 is"
            left = [path.name for path in folders.place.staging.iterdir()]
            if expected not in said or "\n" in said:
                wrong.append(f"said {said!r}")
            if newest(folders.place) != (1, []) or not is_right(run, 1) or len(left) > 1:
                wrong.append(f"left {left}")
        save(folders, tiny(99, SIZE), 99, **state(99))  # there is room again
        wrong += [] if is_right(run, 99) else ["nothing is saved when there is room again"]
    return {"full_disks": count, "full_disk": "tmpfs" if disk else "simulated"}, wrong


def flips(place, count, rng):
    """Single bytes, in every file of a checkpoint in turn."""
    run, wrong = place / "flips", []
    for step in (1, 2):
        save(CheckpointFolders(place_of(run)), tiny(step, 30), step, **state(step))
    folder = place_of(run).staging / folder_name(2)
    paths = sorted(folder.iterdir())
    for number in range(count):
        path = paths[number % len(paths)]
        whole = path.read_bytes()
        at, raw = rng.randrange(len(whole)), bytearray(whole)
        raw[at] ^= rng.randrange(1, 256)
        path.write_bytes(raw)
        step, damaged = newest(place_of(run))
        if step != 1 or len(damaged) != 1:
            wrong.append(f"byte {at} of {path.name} was not missed")
        path.write_bytes(whole)
    return {"flips": count, "files": [path.name for path in paths]}, wrong


def run(kill_count=100, full_count=20, flip_count=60, seed=0):
    """The figures; `wrong` is empty."""
    torch.set_num_threads(1)  # threads do not survive a fork
    began, rng, found, wrong = time.perf_counter(), random.Random(seed), {"what": "saves"}, []
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as name:
        place = Path(name)
        found["other_filesystem"] = place.stat().st_dev != Path(tempfile.gettempdir()).stat().st_dev
        for part, count in ((kills, kill_count), (full_disks, full_count), (flips, flip_count)):
            figures, faults = part(place, count, rng)
            found |= figures
            wrong += faults
    return found | {"wrong": wrong, "seconds": round(time.perf_counter() - began)}


if __name__ == "__main__":
    result = run(*map(int, sys.argv[1:]))
    print(json.dumps(result))
    sys.exit(bool(result["wrong"]))
