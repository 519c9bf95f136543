"""Does `evaluate` measure what the published protocols say? Every figure again, by other code.

python -m tests.faults.independent [PHOTOGRAPHS [POINTED]] [FAULT]     # 12, 2; one line of JSON

The exit code is 1 where one differs. There are 80 photographs; POINTED of them are asked for in the
pointing game, which is 144 regions each.

A random CLIP of open_clip (its last weights fitted, so that it is right often enough) is measured
on photographs of COCO and on small files in the published formats, with every extractor; the same
figures are computed from the photographs and the files by the scripts beside this one, which share
no code with the evaluator, and each case of each figure must have the same answer. Then the faults
of `planted` stand in ours, one after the other, and the figures must tell of them. With FAULT that
one alone is planted, and what differs is printed.
"""

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.independent import ours, theirs, upstream, views
from tests.faults.independent.clip import SMALL, Clip, fit, write_clip
from tests.faults.independent.compare import EXACT, compare, read_ours
from tests.faults.independent.made.everything import FOLDERS, write_everything
from tests.faults.independent.photographs import photographs
from tests.faults.independent.planted import FAULTS
from tests.faults.independent.regions import EXTRACTORS, Regions

PHOTOGRAPHS = 12
POINTED = 2
LARGE = {**SMALL, "vision_cfg": {**SMALL["vision_cfg"], "image_size": 224, "patch_size": 32}}
SUITES = [*FOLDERS]
# folder of the figures -> encoder, shards, benchmarks, extractors, frame
MEASURED = {
    "all": ("clip", "coco", [*ours.SPLIT, *SUITES], EXTRACTORS, "own"),
    "masks": ("clip", "coco", ["clipself_macc"], ["mask_pool"], "own"),
    "points": ("clip", "few", ["pointing"], EXTRACTORS, "own"),
    "pad": ("clip", "coco", ["cloc_macc"], ["roi"], "pad"),
    "squash": ("clip", "coco", ["cloc_macc"], ["roi"], "squash"),
    "large": ("large", "few", ["cloc_macc"], ["crop"], "own"),
}
FRAMES = {"pad": "longest", "squash": "squash"}  # our names, and open_clip's
TOLD = ("clip", "coco", ["cloc_macc", "fg_ovd", "whatsup_a"], ["crop"], "own")  # of a fault


def make(folder, count):
    """The encoders, the files and the shards in `folder`; `count` photographs."""
    photos = photographs(count)
    write_everything(folder / "files", photos)
    shown = [(photo.open(), photo) for photo in photos]
    pairs = [(image, text) for image, photo in shown for text in photo.captions]
    pairs += [
        (views.crop(image, thing.box), thing.name)
        for image, photo in shown
        for thing in photo.boxed
    ]
    write_clip(folder / "clip", SMALL)
    fit(folder / "clip", *zip(*pairs, strict=True))
    write_clip(folder / "large", LARGE)
    return photos


def measure(folder, name, planted=None):
    """(metrics, cases) of ours, or why there are none; in another frame under another name."""
    clip, shards, benchmarks, extractors, frame = TOLD if planted else MEASURED[name]
    out = folder / f"{name}_out"
    why = ours.evaluate(
        folder / clip,
        folder / shards / "shards/train",
        out,
        benchmarks=benchmarks,
        extractors=extractors,
        files=folder / "files",
        frame=frame,
        planted=planted,
    )
    return why or read_ours(out, "" if frame == "own" else f" {frame}")


def recompute(folder, photos, few):
    """{benchmark[@extractor]: {metric: Figure}}, and where upstream does otherwise."""
    clip, files = Clip(folder / "clip"), folder / "files"
    found = theirs.of_pictures(clip, files, photos) | theirs.of_masks(clip, files, photos)
    for extractor in EXTRACTORS:
        regions = Regions(clip, extractor)
        found |= theirs.of_regions(regions, files, photos)
        found |= theirs.pointed(regions, few)
    for frame, mode in FRAMES.items():
        regions = Regions(Clip(folder / "clip", mode), "roi")
        found[f"cloc_macc@roi {frame}"] = theirs.of_classes(regions, photos)
    return found, upstream.departures(clip, photos, files, found)


def run(count=PHOTOGRAPHS, pointed=POINTED, *, fault=None):
    """Figures that were compared, [figure, ours, theirs, difference] of each, what differs."""
    began = time.perf_counter()
    names = [f"planted {fault}"] if fault else [*MEASURED, *(f"planted {f}" for f in FAULTS)]
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(1) as other_core:
        folder = Path(temporary)
        photos = make(folder, count)
        few = photos[:pointed]
        ours.write_shards(folder / "coco", photos)
        ours.write_shards(folder / "few", few)
        jobs = {
            name: other_core.submit(measure, folder, name, name.partition("planted ")[2] or None)
            for name in names
        }
        found, departures = recompute(folder, photos, few)
        answers = {name: job.result() for name, job in jobs.items()}
    return {
        "what": "independent",
        "photographs": [count, pointed],
        **(told(answers, found) if not fault else alone(*answers.values(), found)),
        "departures": departures,
        "seconds": round(time.perf_counter() - began),
    }


def told(answers, found):
    """Of all that was measured: nothing may differ, but with a fault something must."""
    wrong = [f"{name}: {answers[name]}" for name in MEASURED if isinstance(answers[name], str)]
    metrics, cases = {}, {}
    for name in MEASURED:
        if name != "large" and not isinstance(answers[name], str):
            metrics |= answers[name][0]
            cases |= answers[name][1]
    rows, lonely = compare((metrics, cases), found)
    apart = differing(rows)
    seen = {name: alone(answers[f"planted {name}"], found)["wrong"] for name in FAULTS}
    wrong += [describe(*row) for row in apart] + lonely
    wrong += [f"the planted {name} is not told" for name, figures in seen.items() if not figures]
    return {
        "figures_compared": len(rows),
        "cases_compared": sum(len(f.values) for own in found.values() for f in own.values()),
        "figures_that_differ": len(apart),
        "cases_that_differ": sum(len(row[4]) for row in apart),
        "cases_nearly_ties": sum(len(f.slack) for own in found.values() for f in own.values()),
        "faults_told": sum(map(bool, seen.values())),
        "figures_of_faults": {name: len(figures) for name, figures in seen.items()},
        "figures": [[f"{b}.{m}", own, other, own - other] for b, m, own, other, *_ in rows],
        "wrong": wrong,
    }


def alone(answer, found):
    """Of one measurement: what differs. A command that fails tells nothing of its figures."""
    if isinstance(answer, str):
        return {"wrong": [], "failed": answer}
    rows, _ = compare(answer, {name: own for name, own in found.items() if name in answer[0]})
    return {
        "figures_compared": len(rows),
        "wrong": [describe(*row) for row in differing(rows)],
    }


def differing(rows):
    return [row for row in rows if abs(row[2] - row[3]) > EXACT + row[5] or row[4]]


def describe(benchmark, metric, own, other, differ, _):
    first = "".join(f", such as {c}: {a} and {b}, margin {m}" for c, a, b, m in differ[:1])
    return f"{benchmark}.{metric}: {own:.6f}, recomputed {other:.6f}; {len(differ)} cases{first}"


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    faults = [word for word in sys.argv[1:] if not word.isdecimal()]
    result = run(*numbers, fault=next(iter(faults), None))
    print(json.dumps(result))
    sys.exit(bool(result["wrong"]))
