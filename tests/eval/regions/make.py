"""Writes the golden files beside it, in the upstream formats: python -m tests.eval.regions.make

Pictures are 32 x 32 with coloured rectangles, as `tests.helpers.oracle` paints them.
"""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import PIL.Image

from tests.helpers.oracle import NAMES, SIZE, painted

HERE = Path(__file__).parent
LEFT, MIDDLE, RIGHT, LOW = (0, 0, 8, 12), (12, 0, 20, 12), (24, 0, 32, 12), (0, 20, 32, 32)
PICTURES = {
    1: [("red", LEFT), ("red", MIDDLE), ("green", RIGHT), ("blue", LOW)],
    2: [("red", MIDDLE), ("pink", LOW)],
    3: [("green", LEFT), ("red", (24, 0, 28, 4)), ("blue", LOW)],
}
PANOPTIC = {"red": "red", "green": "green", "blue": "blue-other", "pink": "pink-merged"}
IDS = {"red": 1, "green": 18, "blue": 92, "pink": 184}
SIZES = {"width": SIZE, "height": SIZE}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def draw(path, things):
    path.parent.mkdir(parents=True, exist_ok=True)
    painted(*things).save(path, optimize=True)


def xywh(box):
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def panoptic(root):
    images, annotations = [], []
    for number, things in PICTURES.items():
        name = f"{number:012d}.png"
        draw(root / "val2017" / name, things)
        pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
        segments = []
        for i, (colour, box) in enumerate(things):
            segment = 3_000_000 * number + 300 * i + 7  # three bytes, all of them used
            x0, y0, x1, y1 = box
            pixels[y0:y1, x0:x1] = [segment % 256, segment // 256 % 256, segment // 256**2]
            area = (x1 - x0) * (y1 - y0)
            kind = {"category_id": IDS[colour], "iscrowd": 0, "area": area, "bbox": xywh(box)}
            segments.append({"id": segment, **kind})
        masks = root / "annotations/panoptic_val2017" / name
        masks.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(pixels).save(masks, optimize=True)
        images.append({"id": number, "file_name": name, **SIZES})
        row = {"image_id": number, "file_name": name, "segments_info": segments}
        annotations.append(row)
    categories = [
        {
            "id": IDS[n],
            "name": PANOPTIC[n],
            "isthing": int(n in ("red", "green")),
            "supercategory": "x",
        }
        for n in reversed(NAMES)
    ]
    value = {"images": images, "annotations": annotations, "categories": categories}
    write(root / "annotations/panoptic_val2017.json", value)


def fg_ovd(root):
    """Categories are captions; of the first box only the first two negatives are colours."""
    images = [{"id": n, "file_name": f"val2017/{n:012d}.png", **SIZES} for n in (1, 2)]
    for number in (1, 2):
        draw(root / "val2017" / f"{number:012d}.png", PICTURES[number])
    captions = ["A red box.", "A green box.", "A blue box.", "A pink box.", "A box of no colour."]
    categories = [
        {"id": 10 + i, "name": caption, "synset": "", "synonyms": [], "def": "", "frequency": "f"}
        for i, caption in enumerate(captions)
    ]

    def box(number, image, bbox, right, *wrong):
        ids = {"category_id": 10 + right, "neg_category_ids": [10 + i for i in wrong]}
        return {"id": number, "image_id": image, "bbox": xywh(bbox), "area": 1.0, **ids}

    boxes = [
        box(7, 1, LEFT, 0, 1, 2, 4),
        box(8, 1, RIGHT, 1, 0, 2),
        box(9, 2, LOW, 3, 2, 1, 0),
        box(5, 2, MIDDLE, 0, 1),  # a single negative
    ]
    for name in ("1_attributes", "2_attributes", "3_attributes", "shuffle_negatives"):
        data = {"images": images, "annotations": boxes, "categories": categories}
        write(root / f"{name}.json", data)


def referring(root):
    images = [
        {"id": n, "file_name": f"COCO_train2014_{n:012d}.png", **SIZES, "license": 1}
        for n in PICTURES
    ]
    objects, number = [], 30
    for image, things in PICTURES.items():
        draw(root / "train2014" / f"COCO_train2014_{image:012d}.png", things)
        for colour, box in things:
            number += 1
            kind = {"category_id": IDS[colour], "iscrowd": 0, "area": 1.0, "bbox": xywh(box)}
            objects.append({"id": number, "image_id": image, **kind})
    categories = [{"id": i, "name": name} for name, i in IDS.items()]
    instances = {"images": images, "annotations": objects, "categories": categories}

    def ref(number, ann, image, split, *texts):
        sentences = [{"sent_id": i, "sent": t, "raw": t.upper()} for i, t in enumerate(texts)]
        ids = {"ref_id": number, "ann_id": ann, "image_id": image, "category_id": 1}
        return {**ids, "split": split, "sentences": sentences}

    refs = [
        ref(5, 38, 3, "testA", "the tiny red thing"),
        ref(4, 36, 2, "val", "pink", "the pink thing below"),
        ref(3, 33, 1, "val", "green thing"),
        ref(2, 31, 1, "train", "red thing on the left"),
        ref(6, 34, 1, "testA", "blue"),
    ]
    for name in ("refcoco", "refcoco+"):
        write(root / name / "instances.json", instances)
    write(root / "refcoco/refs.json", refs)
    plain = [{**row, "sentences": [s["sent"] for s in row["sentences"]]} for row in refs[:3]]
    lines = "".join(json.dumps(row) + "\n" for row in plain)
    (root / "refcoco+/refs.jsonl").write_text(lines)
    proposals = [
        (1, RIGHT),
        (1, (0, 0, 20, 12)),
        (1, (0, 18, 32, 32)),
        (3, LEFT),
        (3, (24, 0, 28, 8)),
    ]
    rows = [
        {"image_id": i, "category_id": 1, "bbox": xywh(box), "score": 0.9} for i, box in proposals
    ]
    write(root / "refcoco/proposals.json", rows)


WHOLE = {"red": ["red", "red", "red", "green"], "blue": ["blue"], "green": ["green", "green"]}


def zero_shot(root):
    """Of one red picture the colour is green: an encoder that sees right is wrong there."""
    for name, colours in WHOLE.items():
        for i, colour in enumerate(colours):
            draw(
                root / "folders" / f"n{'rgb'.index(name[0])}" / f"{i}.png",
                [(colour, (i, 0, 30, 30))],
            )
    (root / "folders/classnames.txt").write_text("red\ngreen\nblue\n")
    wds = root / "wds"
    (wds / "test").mkdir(parents=True, exist_ok=True)
    (wds / "classnames.txt").write_text("red\ngreen\nblue\n")
    templates = "a photo of a {c}.\nthe {c} thing.\n"
    (wds / "zeroshot_classification_templates.txt").write_text(templates)
    (wds / "test/nshards.txt").write_text("2")
    every = [(name, i, c) for name, own in WHOLE.items() for i, c in enumerate(own)]
    for shard, rows in enumerate((every[:4], every[4:])):
        with tarfile.open(wds / f"test/{shard}.tar", "w") as tar:
            for number, (name, i, colour) in enumerate(rows):
                png = io.BytesIO()
                painted((colour, (i, 0, 30, 30))).save(png, "PNG", optimize=True)
                members = {"png": png.getvalue(), "cls": str("rgb".index(name[0])).encode()}
                for suffix, data in members.items():
                    member = tarfile.TarInfo(f"s{number:07d}.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


if __name__ == "__main__":
    panoptic(HERE / "panoptic")
    fg_ovd(HERE / "fg_ovd")
    referring(HERE / "referring")
    zero_shot(HERE / "zero_shot")
