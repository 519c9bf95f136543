"""FG-OVD's and RefCOCO's files about the boxes of the photographs, with made-up captions."""

import json
import random

COLOURS = "red green blue black white brown grey yellow pink purple orange dark bright".split()
LEVELS = {
    "1_attributes": "A {} {} with a {} edge",
    "2_attributes": "A {1} that is {0} and in part {2}",
    "3_attributes": "A {1} made of {0} and {2} plastic",
    "shuffle_negatives": "Some {0} {1} on something {2}",
}
LONG = "It stands there quietly among many other things that nobody has counted so far. " * 6
SIDES = ("on the left", "on the right", "in the middle", "that is nearest", "in the back")


def _pictures(folder, photographs):
    for photo in photographs:
        photo.put(folder / photo.file)


def write_fg_ovd(root, photographs):
    """The four files of FG-OVD, in the form of LVIS: a category is a caption. Every seventh box has
    four wrong captions only; of one in nine the captions differ where CLIP has stopped reading."""
    _pictures(root / "val2017", photographs)
    rows = {"id": "number", "width": "width", "height": "height"}
    images = [
        {key: getattr(photo, own) for key, own in rows.items()}
        | {"file_name": f"val2017/{photo.file}"}
        for photo in photographs
    ]
    for name, form in LEVELS.items():
        draw, texts, annotations = random.Random(name), {}, []
        for photo in photographs:
            for thing in photo.boxed[:4]:
                own, wrong = _told(form, thing, draw, len(annotations))
                numbers = [texts.setdefault(text, len(texts) + 1) for text in (own, *wrong)]
                x0, y0, x1, y1 = thing.box
                annotations.append(
                    {
                        "id": thing.number,
                        "image_id": photo.number,
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "category_id": numbers[0],
                        "neg_category_ids": numbers[1:],
                    }
                )
        categories = [{"id": number, "name": text} for text, number in texts.items()]
        told = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"{name}.json").write_text(json.dumps(told))


def _told(form, thing, draw, turn):
    """The caption of a box, and wrong ones that differ in a colour."""
    colours = draw.sample(COLOURS, 12)
    second = draw.choice(COLOURS)
    texts = [form.format(colour, thing.name, second) for colour in colours]
    if turn % 9 == 8:
        texts = [f"{thing.name}. {LONG}{text}" for text in texts]
    return texts[0], texts[1 : 5 if turn % 7 == 6 else len(texts)]


def write_referring(root, photographs):
    """A folder for each set: instances.json, refs.json (refcocog: refs.jsonl), proposals.json."""
    _pictures(root / "train2014", photographs)
    for of_set in ("refcoco", "refcoco+", "refcocog"):
        folder, draw = root / of_set, random.Random(of_set)
        folder.mkdir()
        images = [
            {"id": p.number, "file_name": p.file, "width": p.width, "height": p.height}
            for p in photographs
        ]
        annotations = [
            {"id": t.number, "image_id": p.number, "bbox": _bbox(t.box), "iscrowd": int(t.crowd)}
            for p in photographs
            for t in p.things
        ]
        told = {"images": images, "annotations": annotations}
        (folder / "instances.json").write_text(json.dumps(told))
        refs = list(_refs(photographs, of_set, draw))
        if of_set == "refcocog":
            (folder / "refs.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in refs))
        else:
            (folder / "refs.json").write_text(json.dumps(refs))
        found = [row for photo in photographs[1:] for row in _proposals(photo, draw)]
        (folder / "proposals.json").write_text(json.dumps(found))


def _bbox(box):
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]


def _refs(photographs, of_set, draw):
    splits = ("val", "test") if of_set == "refcocog" else ("val", "testA", "testB", "train")
    number = 0
    for photo in photographs:
        for thing in draw.sample(photo.boxed, min(3, len(photo.boxed))):
            said = [
                f"{draw.choice(COLOURS)} {thing.name}",
                f"The {thing.name} {draw.choice(SIDES)}",
            ]
            yield {
                "ref_id": number,
                "ann_id": thing.number,
                "image_id": photo.number,
                "split": splits[number % len(splits)],
                "sentences": said if number % 2 else [{"sent": text} for text in said],
            }
            number += 1


def _proposals(photo, draw):
    """Of most things a box that is a little or far off, and two anywhere."""
    for thing in photo.boxed[:12]:
        x, y, w, h = _bbox(thing.box)
        off = draw.choice((0.05, 0.1, 0.2, 0.5))
        moved = [x + draw.uniform(-off, off) * w, y + draw.uniform(-off, off) * h, w, h]
        yield {"image_id": photo.number, "bbox": _inside(moved, photo), "score": draw.random()}
    for _ in range(2):
        w, h = draw.uniform(20, photo.width / 2), draw.uniform(20, photo.height / 2)
        x, y = draw.uniform(0, photo.width - w), draw.uniform(0, photo.height - h)
        yield {"image_id": photo.number, "bbox": [x, y, w, h], "score": draw.random()}


def _inside(bbox, photo):
    x, y, w, h = bbox
    x0, y0 = max(x, 0.0), max(y, 0.0)
    x1, y1 = min(x + w, photo.width), min(y + h, photo.height)
    return [x0, y0, max(x1 - x0, 1.0), max(y1 - y0, 1.0)]
