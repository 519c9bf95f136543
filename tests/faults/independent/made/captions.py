"""The files of What'sUp, COCO-spatial, GQA-spatial and VSR, filled with the photographs. What the
captions say is made up: a protocol does not mind whether it is so."""

import json
import random

WHATSUP = {
    "A": ("controlled_images", ("on", "under", "left_of", "right_of")),
    "B": ("controlled_clevr", ("in-front_of", "behind", "left_of", "right_of")),
}
SAID = {
    "on": "A {} on a {}",
    "under": "A {} under a {}",
    "left_of": "A {} to the left of a {}",
    "right_of": "A {} to the right of a {}",
    "in-front_of": "A {} in front of a {}",
    "behind": "A {} behind a {}",
}
VSR = (
    ("left of", "The {} is left of the {}."),
    ("right of", "The {} is right of the {}."),
    ("above", "The {} is above the {}."),
    ("in front of", "The {} is in front of the {}."),
    ("touching", "The {} is touching the {}."),
)


def two_of(photo, draw):
    """Two names of different things in the picture, or of anything."""
    names = sorted({thing.name.replace(" ", "-") for thing in photo.things})
    names += ["cup", "book"][: max(0, 2 - len(names))]
    return draw.sample(names, 2)


def write_whatsup(root, photographs, subset):
    """Four pictures of each pair of things, named as upstream names them; the last group lacks one,
    and one group has two captions that CLIP reads alike, which differ in case."""
    (folder, places), draw = WHATSUP[subset], random.Random(subset)
    rows = []
    for start in range(0, len(photographs) - 3, 4):
        one, two = two_of(photographs[start], draw)
        one = f"{one}{start}"  # a pair of things is one group
        for photo, place in zip(photographs[start : start + 4], places, strict=True):
            file = f"{one}_{place}_{two}.jpeg"
            photo.put(root / folder / file)
            others = [other for other in places if other != place]
            said = [SAID[p].format(one, two) for p in (place, *others)]
            if start == 8:
                said[-1] = said[0].upper()
            rows.append({"image_path": f"data/{folder}/{file}", "caption_options": said})
    rows.pop()
    name = {"A": "controlled_images_dataset.json", "B": "controlled_clevr_dataset.json"}[subset]
    (root / name).write_text(json.dumps(rows))


def write_spatial(root, photographs, source, objects):
    """[number of the picture, true caption, false caption]."""
    folder, prefix = {"coco": ("val2017", "coco"), "gqa": ("vg_images", "vg")}[source]
    draw, rows = random.Random(source + objects), []
    turns = [("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top")]
    pairs = [
        ("to the left of", "to the right of"),
        ("above", "below") if source == "coco" else ("in front of", "behind"),
        ("to the right of", "to the left of"),
        ("below", "above") if source == "coco" else ("behind", "in front of"),
    ]
    for i, photo in enumerate(photographs):
        name = f"{photo.number:012d}.jpg" if source == "coco" else f"{photo.number}.jpg"
        photo.put(root / folder / name)
        one, two = two_of(photo, draw)
        if objects == "one":
            said = [f"A photo of a {one} on the {side}" for side in turns[i % 4]]
        else:
            said = [f"A photo of a {one} {place} a {two}" for place in pairs[i % 4]]
        rows.append([photo.number, *said])
    (root / f"{prefix}_qa_{objects}_obj.json").write_text(json.dumps(rows))


def write_vsr(root, photographs, split):
    """dev.jsonl and test.jsonl of splits/`split`, and the pictures in images."""
    folder, draw = root / "splits" / split, random.Random(split)
    folder.mkdir(parents=True, exist_ok=True)
    for name, turn in (("dev", 0), ("test", 1)):
        rows = []
        for photo in photographs:
            photo.put(root / "images" / photo.file)
            for relation, said in draw.sample(VSR, 2):
                caption = said.format(*two_of(photo, draw))
                label = int(draw.random() < (0.6 if turn else 0.4))
                row = {"image": photo.file, "caption": caption, "label": label}
                rows.append({**row, "relation": relation, "image_link": "", "annotator_id": 1})
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text)
