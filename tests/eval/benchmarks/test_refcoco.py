"""Three protocols of RefCOCO on golden files, by hand and by a count of one's own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cloc.errors import UserError
from cloc.eval.benchmarks.refcoco import RefcocoBoxHead, RefcocoGtBoxes, RefcocoProposals
from cloc.interfaces import Split
from tests.helpers.oracle import Constant
from tests.helpers.region_mocks import Colours, Hashed, Opposite

ROOT = Path(__file__).parents[1] / "regions/referring"
NONE = Split("own", (), {})
BOTH = ("refcoco", "refcoco+")


def run(benchmark, embedder, root=ROOT, sets=BOTH, **more):
    return benchmark(root=str(root), sets=sets, **more).run(embedder, NONE)


def iou(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = np.prod(sides.clip(0))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def corners(bbox):
    x, y, width, height = bbox
    return np.array([x, y, x + width, y + height], float)


def queries(split):
    """(picture, image id, sentence, the box it means) and the boxes of every picture."""
    data = json.loads((ROOT / "refcoco/instances.json").read_text())
    files = {row["id"]: row["file_name"] for row in data["images"]}
    boxes, of = {}, {}
    for row in data["annotations"]:
        boxes.setdefault(row["image_id"], []).append(corners(row["bbox"]))
        of[row["id"]] = corners(row["bbox"])
    refs = json.loads((ROOT / "refcoco/refs.json").read_text())
    asked = [
        (files[r["image_id"]], r["image_id"], s["sent"], of[r["ann_id"]])
        for r in refs
        if r["split"] == split
        for s in r["sentences"]
    ]
    return asked, boxes


def counted(encoder, split, candidates):
    asked, boxes = queries(split)
    right = []
    for file, image_id, sentence, target in asked:
        own = boxes[image_id] if candidates is None else candidates.get(image_id, [])
        with Image.open(ROOT / "train2014" / file) as image:
            rgb = image.convert("RGB")
        scores = [encoder.text(sentence) @ encoder.region(rgb, box) for box in own]
        right.append(bool(own) and iou(own[int(np.argmax(scores))], target) > 0.5)
    return np.mean(right)


def test_ground_truth_boxes():
    found = run(RefcocoGtBoxes, Colours())
    names = {"refcoco_val", "refcoco_testA", "refcoco+_val", "refcoco+_testA"}
    assert set(found.figures.cases) == names  # what is of train is not measured
    assert {found[name] for name in names} == {1}
    assert found["refcoco_val_chance"] == pytest.approx((1 / 4 + 1 / 2 + 1 / 2) / 3)
    assert found["refcoco_val_ceiling"] == 1
    for mock in (Opposite, Constant):
        assert {run(RefcocoGtBoxes, mock())[name] for name in names} == {0}


def test_ground_truth_boxes_by_a_count_of_ones_own():
    encoder = Hashed()
    found = run(RefcocoGtBoxes, encoder)
    for split in ("val", "testA"):
        assert found[f"refcoco_{split}"] == pytest.approx(counted(encoder, split, None))


def test_proposals():
    found = run(RefcocoProposals, Colours(), sets=["refcoco"])
    # of picture 2 there is no proposal: its two sentences are wrong, whoever looks
    assert found["refcoco_val"] == found["refcoco_val_ceiling"] == pytest.approx(1 / 3)
    assert found.figures.about["refcoco_val"] == {"pictures_without_a_candidate": 1}
    # a proposal has an IoU of exactly one half with the tiny red thing, and more is asked
    assert found["refcoco_testA"] == found["refcoco_testA_ceiling"] == 1 / 2
    assert found["refcoco_val_chance"] == pytest.approx(1 / 3 / 3)
    assert run(RefcocoProposals, Constant(), sets=["refcoco"])["refcoco_testA"] == 0


def test_proposals_by_a_count_of_ones_own():
    encoder = Hashed()
    boxes = {}
    for row in json.loads((ROOT / "refcoco/proposals.json").read_text()):
        boxes.setdefault(row["image_id"], []).append(corners(row["bbox"]))
    found = run(RefcocoProposals, encoder, sets=["refcoco"])
    for split in ("val", "testA"):
        assert found[f"refcoco_{split}"] == pytest.approx(counted(encoder, split, boxes))


def test_the_box_head():
    found = run(RefcocoBoxHead, Colours())
    assert {found[name] for name in found.figures.cases} == {1}
    assert found["refcoco_val_chance"] == max(
        found["refcoco_val_centre_box"], found["refcoco_val_random_box"]
    )
    assert run(RefcocoBoxHead, Opposite())["refcoco_val"] == 0
    assert run(RefcocoBoxHead, Constant(grounds=False)) == {}


def test_an_overlap_of_one_half_is_no_hit():
    class Twice(Colours):
        """Grounds at twice the height, downwards: an IoU of exactly one half."""

        def _ground(self, pixels, text):
            x0, y0, x1, y1 = super()._ground(pixels, text)
            return torch.stack([x0, y0, x1, y1 + (y1 - y0)])

    assert run(RefcocoBoxHead, Twice(), sets=["refcoco"])["refcoco_testA"] == 0


def test_names_say_picture_annotation_and_sentence():
    names = run(RefcocoGtBoxes, Colours()).figures.cases["refcoco_val"].names
    assert names == [
        "COCO_train2014_000000000001:33:3.0",
        "COCO_train2014_000000000002:36:4.0",
        "COCO_train2014_000000000002:36:4.1",
    ]
    assert run(RefcocoBoxHead, Colours()).figures.cases["refcoco_val"].names == names


def test_a_set_that_is_not_there_and_proposals_of_another_are_told(tmp_path):
    with pytest.raises(UserError, match=r"refcocog: no such folder; set .* or .*sets to those"):
        run(RefcocoGtBoxes, Colours(), sets=["refcocog"])
    with pytest.raises(UserError, match=r"^benchmarks.refcoco_gt_boxes.sets=\[\]; give one or m"):
        run(RefcocoGtBoxes, Colours(), sets=[])
    shutil.copytree(ROOT, tmp_path / "r")
    path = tmp_path / "r/refcoco/proposals.json"
    path.write_text("[]")
    with pytest.raises(UserError, match=r"proposals.json: no proposal in it; set .*\.proposals to"):
        run(RefcocoProposals, Colours(), tmp_path / "r", ["refcoco"])
    path.write_text(json.dumps([{"image_id": 99, "bbox": [0, 0, 1, 1]}]))
    with pytest.raises(UserError, match=r"proposals of 1 images, and none is one of the 3 asked"):
        run(RefcocoProposals, Colours(), tmp_path / "r", ["refcoco"])
