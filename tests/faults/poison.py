"""Everything from outside that could run code, through the real readers and commands: nothing runs.

python -m tests.faults.poison     # one line of JSON
"""

import gzip
import io
import json
import os
import pickle
import shutil
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import torch

from cloc.data.shards.index import write_index
from cloc.data.shards.reader import Reader
from cloc.data.shards.shard_set import expand_shards
from cloc.errors import UserError
from cloc.models.load import load
from tests.faults.images import forget_peak, kib
from tests.helpers.checkpoints import replace_file
from tests.helpers.commands import start, succeed
from tests.helpers.shards import encode, flat

SUFFIXES = ("pyd", "pkl", "pickle", "pth", "seg.pyd", "PYD", "pyd.gz")
TARGETS = (
    "os.system",
    "torch.load",
    "webdataset.autodecode.unpickle_loads",
    "lightning.fabric.utilities.cloud_io._load",
)
TEXT = b'{"schema": "cloc-regions/1", "width": 4, "height": 4}'


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


def members(place, canary):
    """One shard with a poisoned member of every suffix, odd names and links, through the reader."""
    evil = pickle.dumps(Canary(canary))
    path = place / "poison.tar"
    with tarfile.open(path, "w") as tar:
        for i, suffix in enumerate(SUFFIXES):
            payload = gzip.compress(evil) if suffix.endswith("gz") else evil
            names = {"png": encode(flat(4, 4)), "json": TEXT, suffix: payload}
            for name, data in names.items():
                add(tar, f"{i}.{name}", data)
        add(tar, "../../../up.png", encode(flat(4, 4)))
        add(tar, "/absolute.png", encode(flat(4, 4)))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    count = len(write_index(path)) - 1
    read, refused = Reader(key="shards"), 0
    for index in range(count):
        try:
            found = read(str(path), index, count=count)
            assert set(found) <= {"__key__", "__url__", "png", "json"}, found.keys()
        except UserError:
            refused += 1
    return count, refused


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def names(place, canary):
    """Shard lists that a shell, or a chain of openers, would run."""
    specs = [f"pipe:touch {canary}", f"pipe:touch {canary}::x", f"a.tar::pipe:touch {canary}"]
    (place / "list.txt").write_text("\n".join(specs))
    refused = 0
    for spec in (*specs, str(place / "list.txt"), f"simplecache::file://{canary}"):
        try:
            expand_shards(spec, key="data.train")
        except UserError:
            refused += 1
    return len(specs) + 2, refused


def million(place):
    """Seconds and MiB for the index of a tar with a million empty members."""
    path = place / "million.tar"
    with path.open("wb") as file:
        for i in range(1_000_000):
            file.write(tarfile.TarInfo(f"{i:07d}.png").tobuf(tarfile.USTAR_FORMAT))
        file.write(bytes(1024))
    forget_peak()
    before, began = kib("VmRSS"), time.perf_counter()
    assert len(write_index(path)) == 1_000_001
    return round(time.perf_counter() - began, 1), round((kib("VmHWM") - before) / 1024)


def configurations(place, canary):
    """Targets that would run code, and pickles for checkpoints, through the real command."""
    sizes = ("train=16", "val=0", "novel=0", "samples_per_shard=16")
    succeed("prepare", "import=scenes", "out=data/smoke", *sizes, cwd=place)
    short = ("experiment=smoke", "steps=2", "checkpoint_every=1", "eval.every=0")
    refused = 0
    for target in TARGETS:
        evil = f"+losses.x={{_target_: {target}, command: touch {canary}}}"
        refused += start("train", *short, evil, cwd=place).returncode == 1
    succeed("train", *short, cwd=place)
    run = place / "runs/smoke"
    shutil.rmtree(run / "checkpoints/step-00000002")  # so that there is something left to do
    for payload in (pickle.dumps(Canary(canary)), saved(canary)):
        kept = replace_file(run, 1, "trainer.ckpt", payload)
        done = start("train", *short, "resume=auto", cwd=place)
        refused += done.returncode == 1 and "cannot be read as a checkpoint" in done.stderr
        replace_file(run, 1, "trainer.ckpt", kept)
    for name, content in (
        ("cloc_config.json", json.dumps({"tower": {"_target_": "os.system"}}).encode()),
        ("model.safetensors", pickle.dumps(Canary(canary))),
    ):
        kept = replace_file(run, 1, name, content)
        try:
            load(run)
        except UserError:
            refused += 1
        replace_file(run, 1, name, kept)
    return len(TARGETS) + 4, refused


def saved(canary):
    file = io.BytesIO()
    torch.save({"global_step": 1, "state_dict": Canary(canary)}, file)
    return file.getvalue()


def run():
    """The figures: `executed` counts canaries, and is 0."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        canary, control = place / "canary", place / "control"
        pickle.loads(pickle.dumps(Canary(control)))
        assert control.exists()  # so a canary would tell
        samples, bad = members(place, canary)
        lists, refused_lists = names(place, canary)
        commands, refused = configurations(place, canary)
        seconds, mib = million(place)
        return {
            "what": "poison",
            "executed": int(canary.exists()),
            "samples": samples,
            "bad_samples": bad,
            "lists": lists,
            "refused_lists": refused_lists,
            "configurations": commands,
            "refused_configurations": refused,
            "million_members": {"seconds": seconds, "mib": mib},
        }


if __name__ == "__main__":
    found = run()
    print(json.dumps(found))
    sys.exit(bool(found["executed"]))
