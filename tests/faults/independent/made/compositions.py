"""The files of ARO and SugarCrepe, filled with the photographs and their captions."""

import json
import random

from tests.faults.independent.made.captions import two_of

RELATIONS = ("riding", "holding", "next to", "to the left of", "above")
ATTRIBUTES = (("white", "black"), ("large", "old"), ("wooden", "red"))
SUGARCREPE = (
    "add_att",
    "add_obj",
    "replace_att",
    "replace_obj",
    "replace_rel",
    "swap_att",
    "swap_obj",
)


def _box(photo, draw):
    """A whole number of pixels, inside of the picture: x, y, w, h."""
    w, h = draw.randint(40, photo.width), draw.randint(40, photo.height)
    return draw.randint(0, photo.width - w), draw.randint(0, photo.height - h), w, h


def _row(photo, draw):
    box = dict(zip(("bbox_x", "bbox_y", "bbox_w", "bbox_h"), _box(photo, draw), strict=True))
    return {"image_id": photo.number, "image_path": photo.file, **box}


def write_aro(root, photographs):
    """visual_genome_relation.json, visual_genome_attribution.json and images."""
    draw, relations, attributions = random.Random("aro"), [], []
    for i, photo in enumerate(photographs):
        photo.put(root / "images" / photo.file)
        one, two = two_of(photo, draw)
        relation = RELATIONS[i * i % 7 % 5]
        relations.append(
            _row(photo, draw)
            | {
                "relation_name": relation,
                "true_caption": f"the {one} is {relation} the {two}",
                "false_caption": f"the {two} is {relation} the {one}",
            }
        )
        attributions += _attributions(photo, one, two, draw)
    (root / "visual_genome_relation.json").write_text(json.dumps(relations))
    (root / "visual_genome_attribution.json").write_text(json.dumps(attributions))


def _attributions(photo, one, two, draw):
    """Three of a picture, most of one pair of attributes: what is common has 25 cases."""
    for of_photo in range(3):
        first, second = ATTRIBUTES[(photo.number + of_photo) % 5 % 3 if of_photo else 0]
        yield _row(photo, draw) | {
            "attributes": [first, second],
            "true_caption": f"the {first} {one} and the {second} {two}",
            "false_caption": f"the {second} {one} and the {first} {two}",
        }


def write_order(root, photographs, name):
    """The published loader's `test_cases` as JSON: a caption, and four orders of its words."""
    draw, rows = random.Random(name), []
    for photo in photographs:
        photo.put(root / "val2014" / photo.file)
        for caption in photo.captions[:2]:
            words = [word.strip(".,").lower() for word in caption.split()]
            said = [" ".join(words)]
            said += [" ".join(draw.sample(words, len(words))) for _ in range(4)]
            rows.append({"image": f"val2014/{photo.file}", "caption_options": said})
    (root / f"{name}.json").write_text(json.dumps(rows))


def write_sugarcrepe(root, photographs):
    """Seven files of {number: {filename, caption, negative_caption}}, and val2017."""
    for of_file, name in enumerate(SUGARCREPE):
        draw, rows = random.Random(name), {}
        for i, photo in enumerate(photographs[of_file:]):
            photo.put(root / "val2017" / photo.file)
            own = photo.captions[of_file % 5]
            false = own.upper() if i == 3 else _changed(own, photo, draw)
            rows[str(i)] = {"filename": photo.file, "caption": own, "negative_caption": false}
        (root / f"{name}.json").write_text(json.dumps(rows))


def _changed(caption, photo, draw):
    words = caption.split()
    words[draw.randrange(len(words))] = draw.choice([*two_of(photo, draw), "purple", "behind"])
    return " ".join(words) if " ".join(words) != caption else f"{caption} and a kite"
