"""`cloc-pretrain prepare` and `evaluate`, started as a person starts them."""

import json
import os
import subprocess
import sys

from tests.faults.independent.made.everything import FOLDERS
from tests.faults.independent.photographs import CAPTIONS, INSTANCES, PICTURES

CLOC = "cloc"
SPLIT = (  # benchmarks that read the shards
    *("region_classification", "region_retrieval", "image_text_retrieval"),
    *("cloc_macc", "fgclip_top1", "grounding_none_best_box"),
)
ALL = ("all", *SPLIT[3:])  # `all` names the first three, and others that have nothing to say here


def command(words, *, planted=None):
    """Ends with what the command wrote on stderr where it fails; `planted` is a fault of
    `planted.FAULTS` that the process has."""
    start = ["-m", f"{__package__}.planted", planted] if planted else ["-m", CLOC]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *start, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def ended(process):
    """What was wrong, on one line; empty where it ended well."""
    said = process.communicate()[1].strip()
    return said.splitlines()[-1] if process.returncode and said else "x" * process.returncode


def write_shards(out, photographs):
    """COCO's files, cut to these photographs, through the importer; the folder of the shards."""
    numbers, written = {photo.number for photo in photographs}, {}
    out.mkdir(parents=True)
    for key, path in (("instances", INSTANCES), ("captions", CAPTIONS)):
        told = json.loads(path.read_text())
        told["images"] = [row for row in told["images"] if row["id"] in numbers]
        told["annotations"] = [row for row in told["annotations"] if row["image_id"] in numbers]
        written[key] = out / f"{key}.json"
        written[key].write_text(json.dumps(told))
    files = [f"{key}={path}" for key, path in written.items()]
    words = ["prepare", "import=coco", f"images={PICTURES}", *files, f"out={out / 'shards'}"]
    why = ended(command(words))
    if why:
        raise SystemExit(f"error: {why}")
    return out / "shards/train"


def evaluate(clip, shards, out, *, benchmarks, extractors, files, planted=None, more=()):
    """The process; metrics.json and cases.npz are in `out` when it has ended."""
    own = [name for name in benchmarks if name in FOLDERS]
    words = [
        "evaluate",
        f"model=open_clip:{clip}",
        f"splits.val={shards}",
        f"extractors=[{','.join(extractors)}]",
        f"benchmarks=[{','.join(benchmarks)}]",
        *(f"benchmarks.{name}.root={files / FOLDERS[name]}" for name in own),
        f"out={out}",
        "features=false",
        *more,
    ]
    return command(words, planted=planted)
