"""`cloc-pretrain prepare` and `evaluate`, started as a person starts them."""

import json
import os
import subprocess
import sys

from tests.faults.independent.made.everything import FOLDERS
from tests.faults.independent.photographs import CAPTIONS, INSTANCES, upright

# benchmarks that read the shards; `all` is those of every run
SPLIT = ("all", "cloc_macc", "fgclip_top1", "grounding_none_best_box")


def command(words, *, planted=None):
    """Its last word on stderr where it fails, or "". `planted`: of `planted.FAULTS`."""
    start = [f"{__package__}.planted", planted] if planted else ["cloc"]
    done = subprocess.run(
        [sys.executable, "-m", *start, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    if not done.returncode:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def write_shards(out, photographs):
    """COCO's files, cut to these photographs, through the importer; the folder of the shards."""
    numbers, written = {photo.number for photo in photographs}, {}
    for photo in photographs:
        photo.put(out / "pictures" / photo.file)
    for key, path in (("instances", INSTANCES), ("captions", CAPTIONS)):
        told = json.loads(path.read_text())
        told["images"] = [row for row in told["images"] if row["id"] in numbers]
        told["annotations"] = [row for row in told["annotations"] if row["image_id"] in numbers]
        _turn(told, {photo.number: upright(photo) for photo in photographs if photo.on_its_side})
        written[key] = out / f"{key}.json"
        written[key].write_text(json.dumps(told))
    files = [f"{key}={path}" for key, path in written.items()]
    why = command(
        ["prepare", "import=coco", f"images={out / 'pictures'}", *files, f"out={out / 'shards'}"]
    )
    if why:
        raise SystemExit(f"error: {why}")
    return out / "shards/train"


def _turn(told, turned):
    """COCO's sizes and boxes of pictures that were annotated as people see them."""
    for row in told["images"]:
        if photo := turned.get(row["id"]):
            row |= {"width": photo.width, "height": photo.height}
    boxes = {thing.number: thing.box for photo in turned.values() for thing in photo.things}
    for row in told["annotations"]:
        if "bbox" in row and row["id"] in boxes:
            x0, y0, x1, y1 = boxes[row["id"]]
            row["bbox"] = [x0, y0, x1 - x0, y1 - y0]


def evaluate(clip, shards, out, *, benchmarks, extractors, files, frame="own", planted=None):
    """metrics.json and cases.npz in `out`; why there are none, or "". FG-CLIP's templates are those
    of its repository and of our page, which are not what is shipped (clip_7)."""
    own = [f"benchmarks.{n}.root={files / FOLDERS[n]}" for n in benchmarks if n in FOLDERS]
    if "fgclip_top1" in benchmarks:
        own.append("benchmarks.fgclip_top1.templates=clip_80")
    return command(
        [
            "evaluate",
            f"model=open_clip:{clip}",
            f"splits.val={shards}",
            f"extractors=[{','.join(extractors)}]",
            f"benchmarks=[{','.join(benchmarks)}]",
            *own,
            f"out={out}",
            f"frame={frame}",
            "features=false",
        ],
        planted=planted,
    )
