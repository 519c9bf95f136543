"""`experiment=coco_mini` on the real photographs, shortened: import, train, evaluate, report."""

import base64
import io
import json
import re
from contextlib import chdir
from types import SimpleNamespace

import numpy as np
import PIL.Image
import PIL.ImageColor
import pytest

from cloc.cli import evaluate, prepare, train
from cloc.data.eval_splits import read_split
from cloc.data.sources.cloc_regions import parse
from cloc.drawing import colour
from tests.helpers.photos import MINI, NEEDS_MINI

pytestmark = [pytest.mark.slow, NEEDS_MINI]
STEPS = 40


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """The folder everything is in, and the files' own boxes by image id."""
    place = tmp_path_factory.mktemp("coco_mini")
    notes = {
        name: MINI / f"annotations/{name}_train2017.json" for name in ("instances", "captions")
    }
    given = [f"{name}={path}" for name, path in notes.items()]
    with chdir(place):
        prepare.main(
            ["import=coco", f"images={MINI}/train2017", *given, "val=0.25", "out=data/coco_mini"]
        )
    boxes: dict[str, list[list[float]]] = {}
    for row in sorted(json.loads(notes["instances"].read_text())["annotations"], key=by_id):
        if not row["iscrowd"]:
            x, y, width, height = row["bbox"]
            boxes.setdefault(f"{row['image_id']:012d}", []).append([x, y, x + width, y + height])
    return SimpleNamespace(place=place, boxes=boxes)


@pytest.fixture(scope="module")
def photos(imported):
    """The same, trained on, with the final metrics."""
    with chdir(imported.place):
        train.main(
            [
                *("experiment=coco_mini", "data.root=data/coco_mini", "data.num_workers=0"),
                *(f"steps={STEPS}", "schedule.warmup=6", "eval.every=0", "logger=[jsonl]"),
            ]
        )
        evaluate.main(["run=runs/coco_mini", "gallery=4", "extractors=[]"])
    metrics = json.loads((imported.place / "runs/coco_mini/metrics.json").read_text())
    return SimpleNamespace(**vars(imported), metrics=metrics)


def by_id(row):
    return row["id"]


def test_every_photograph_keeps_its_boxes(imported):
    found = {}
    for name in ("train", "val"):
        split = read_split(str(imported.place / "data/coco_mini" / name), name=name, parse=parse)
        found |= {example.key: example.boxes for example in split.examples}
    assert len(found) == len(list((MINI / "train2017").glob("*.jpg")))
    for key, boxes in found.items():
        np.testing.assert_allclose(
            boxes, np.reshape(imported.boxes.get(key, []), (-1, 4)), atol=0.02
        )


@pytest.mark.rare
def test_it_learns_what_and_where_on_the_photographs_it_trains_on(photos):
    regions, boxes = (photos.metrics[f"{n}/train"] for n in ("region_classification", "grounding"))
    assert regions["within_image"] > regions["within_image_chance"] + 0.2
    assert regions["top1"] > 10 * regions["top1_chance"]
    assert boxes["miou"] > boxes["miou_chance"] + 0.05


@pytest.mark.rare
def test_the_report_draws_the_boxes_of_the_photographs_where_they_are(photos):
    html = (photos.place / "runs/coco_mini/report.html").read_text()
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    pictures = [PIL.Image.open(io.BytesIO(base64.b64decode(text))) for text in found]
    shown = [picture for picture in pictures if max(picture.size) > 280]  # no heatmaps
    split = read_split(str(photos.place / "data/coco_mini/val"), name="val", parse=parse, limit=4)
    assert len(shown) == 4
    for picture, example in zip(shown, split.examples, strict=True):
        pixels = np.asarray(picture.convert("RGB"), np.int64)
        scale = picture.width / example.image.width
        shares = [
            share_on_rim(pixels, np.array(box) * scale, PIL.ImageColor.getrgb(colour(i)))
            for i, box in enumerate(photos.boxes[example.key])
        ]
        assert np.median(shares) > 0.8, (example.key, shares)


def share_on_rim(pixels, box, rgb):
    """The share of the places on the rim of `box` that have a pixel of colour `rgb` within 1."""
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = np.clip(box.round().astype(int), 1, [width - 2, height - 2] * 2)
    near = np.abs(pixels - rgb).max(-1) < 48
    around = [np.roll(near, shift, axis) for axis in (0, 1) for shift in (-1, 0, 1)]
    near = np.any(around, 0)
    rim = [near[y, x0 : x1 + 1] for y in (y0, y1)] + [near[y0 : y1 + 1, x] for x in (x0, x1)]
    return float(np.concatenate(rim).mean())
