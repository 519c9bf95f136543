"""Does `evaluate` measure what the published protocols say? Every figure again, by other code.

python -m tests.faults.independent [FAULT]     # one line of JSON; exit code 1 where one differs

A random CLIP of open_clip (its last weights fitted, so that it is right often enough) is measured
on photographs of COCO and on small files in the published formats, with every extractor; the same
figures are computed from the photographs and the files by the scripts beside this one, which share
no code with the evaluator, and each case of each figure must have the same answer. FAULT, of
`planted.NAMES`, is planted in ours, and the line must tell of it.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.independent import ours, theirs, upstream, views
from tests.faults.independent.clip import SMALL, Clip, fit, write_clip
from tests.faults.independent.compare import EXACT, compare, read_ours
from tests.faults.independent.made.everything import FOLDERS, write_everything
from tests.faults.independent.photographs import photographs
from tests.faults.independent.regions import EXTRACTORS, Regions

PHOTOGRAPHS = 12
POINTED = 2  # of them for the pointing game: 144 regions each
LARGE = {**SMALL, "vision_cfg": {**SMALL["vision_cfg"], "image_size": 224, "patch_size": 32}}


def make(folder, *, num_photographs=PHOTOGRAPHS):
    """The encoder, the files and the shards in `folder`; the photographs."""
    photos = photographs(num_photographs)
    write_everything(folder / "files", photos)
    write_clip(folder / "clip", SMALL)
    shown = [(photo.open(), photo) for photo in photos]
    pairs = [(image, text) for image, photo in shown for text in photo.captions]
    pairs += [
        (views.crop(image, thing.box), thing.name)
        for image, photo in shown
        for thing in photo.boxed
    ]
    fit(folder / "clip", *zip(*pairs, strict=True))
    return photos


def measured(folder, photos, planted):
    """Folders of ours, as they are written: the processes to wait for."""
    shards = ours.write_shards(folder / "coco", photos)
    few = ours.write_shards(folder / "few", photos[:POINTED])
    given = {"files": folder / "files", "planted": planted}
    clip, boxes = folder / "clip", EXTRACTORS
    ensemble = ["benchmarks.fgclip_top1.templates=clip_80"]  # the shipped default is clip_7
    for out, split, benchmarks, extractors, more in (
        ("few_out", few, ["pointing"], boxes, []),
        ("masks_out", shards, ["clipself_macc"], ["mask_pool"], []),
        ("all_out", shards, [*ours.ALL, *FOLDERS], boxes, ensemble),
    ):
        process = ours.evaluate(
            clip,
            split,
            folder / out,
            benchmarks=benchmarks,
            extractors=extractors,
            more=more,
            **given,
        )
        yield folder / out, process


def recomputed(folder, photos):
    """{benchmark[@extractor]: {metric: Figure}}"""
    clip, files = Clip(folder / "clip"), folder / "files"
    found = theirs.of_pictures(clip, photos, files) | theirs.of_masks(clip, photos, files)
    for extractor in EXTRACTORS:
        regions = Regions(clip, extractor)
        found |= theirs.of_regions(regions, photos, files)
        found |= theirs.pointed(regions, photos[:POINTED])
    return found, upstream.departures(clip, photos, files, found)


def refused(folder, photos):
    """Why a plain CLIP of 224 pixels, in its own centre crop, is not measured; "" where it is."""
    write_clip(folder / "large", LARGE)
    few = folder / "few/shards/train"
    process = ours.evaluate(
        folder / "large",
        few,
        folder / "large_out",
        benchmarks=["cloc_macc"],
        extractors=["crop"],
        files=folder / "files",
    )
    return ours.ended(process)


def run(planted=None):
    """Figures that were compared, [figure, ours, theirs, difference] of each, what differs."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = make(folder)
        processes, failed, metrics, cases = measured(folder, photos, planted), [], {}, {}
        waiting = [next(processes)]
        found, told = recomputed(folder, photos)
        waiting += processes
        for out, process in waiting:
            if why := ours.ended(process):
                failed.append(f"evaluate: {why}")
            else:
                own = read_ours(out)
                metrics |= own[0]
                cases |= own[1]
        why = refused(folder, photos)
    rows, lonely = compare((metrics, cases), found)
    apart = [row for row in rows if abs(row[2] - row[3]) > EXACT or row[4]]
    wrong = failed + [f"a CLIP of 224 px is refused: {why}"] * bool(why)
    wrong += [_told(*row) for row in apart] + lonely
    return {
        "what": "independent",
        "figures_compared": len(rows),
        "cases_compared": sum(len(f.values) for own in found.values() for f in own.values()),
        "figures_that_differ": len(apart),
        "cases_that_differ": sum(len(row[4]) for row in apart),
        "figures": [[f"{b}.{m}", a, t, a - t] for b, m, a, t, _ in rows],
        "departures": [list(row) for row in told],
        "wrong": wrong,
        "seconds": round(time.perf_counter() - began),
    }


def _told(benchmark, metric, own, other, differ):
    first = "".join(
        f", such as {case}: {a} and {b}, margin {margin}" for case, a, b, margin in differ[:1]
    )
    return f"{benchmark}.{metric}: {own:.6f}, recomputed {other:.6f}; {len(differ)} cases{first}"


if __name__ == "__main__":
    found = run(*sys.argv[1:2])
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
