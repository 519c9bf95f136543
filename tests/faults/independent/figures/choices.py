"""The suites of captions from their own files: which of some captions is nearest to a picture.

A picture in CLIP's own transform; the true caption must be above every other one by more than a
tie. Controls: a grey square in place of the picture (blind), and the picture mirrored, over the
cases of left and right, with the old answer and with that of the mirror (turned).
"""

import json

import numpy as np
import PIL.Image
import PIL.ImageOps

from tests.faults.independent.figure import Figure, counted, margin

GREY = (128, 128, 128)
OPPOSITE = {"left": "right", "right": "left"}


class Case:
    """`options`: the first is true. `box`: what is cut out of the picture before it is shown."""

    def __init__(self, name, path, options, *, box=None, tag=None):
        self.name, self.path, self.options, self.box, self.tag = name, path, options, box, tag

    def picture(self):
        with PIL.Image.open(self.path) as image:
            shown = image.convert("RGB")
        return shown.crop(self.box) if self.box else shown


def margins_of(clip, cases, pictures, answers=None):
    """How far the answer (0 where none is given) is above the other captions."""
    vectors = np.float64(clip.pictures(pictures))
    found = {}
    for i, (case, vector) in enumerate(zip(cases, vectors, strict=True)):
        scores = np.float64(clip.texts(case.options)) @ vector
        right = np.arange(len(scores)) == (answers[i] if answers else 0)
        found[case.name] = margin(scores, right)
    return found


def figures(clip, cases, *, macro=None, parts=False):
    """accuracy, macro_KIND and, where `parts`, that of every tag; each `_blind` too; and, where a
    mirror changes answers, accuracy_left_right with its two controls."""
    pictures = [case.picture() for case in cases]
    square = PIL.Image.new("RGB", (clip.size, clip.size), GREY)
    tags = {case.name: case.tag for case in cases}
    found = {}
    for end, shown in (("", pictures), ("_blind", [square] * len(cases))):
        chances = {case.name: 1 / len(case.options) for case in cases}
        every = counted(margins_of(clip, cases, shown), chances)
        found[f"accuracy{end}"] = every
        if macro:
            found[f"macro_{macro}{end}"] = every.by(tags)
        for tag in {*tags.values()} if parts else ():
            found[f"accuracy_{tag}{end}"] = every.only({n for n, t in tags.items() if t == tag})
    return found | left_right(clip, cases, pictures, found)


def left_right(clip, cases, pictures, found):
    turned = [i for i, case in enumerate(cases) if mirrored_answer(case) is not None]
    if not turned:
        return {}
    chosen = [cases[i] for i in turned]
    shown = [PIL.ImageOps.mirror(pictures[i]) for i in turned]
    answers = [mirrored_answer(case) for case in chosen]
    names = {case.name for case in chosen}
    return {
        "accuracy_left_right": found["accuracy"].only(names),
        "accuracy_left_right_blind": found["accuracy_blind"].only(names),
        "accuracy_left_right_mirrored": counted(margins_of(clip, chosen, shown)),
        "accuracy_left_right_mirrored_turned": counted(margins_of(clip, chosen, shown, answers)),
    }


def mirrored_answer(case):
    """Which option says the same with left and right changed; None where none does."""
    said = " ".join(OPPOSITE.get(word, word) for word in case.options[0].split())
    if said == case.options[0] or said not in case.options:
        return None
    return case.options.index(said)


def whatsup(clip, root, subset):
    """Beside the others pair and set, over the groups that have all four pictures."""
    name = {"A": "controlled_images_dataset.json", "B": "controlled_clevr_dataset.json"}[subset]
    cases, groups = [], {}
    for row in json.loads((root / name).read_text()):
        own = row["image_path"].partition("/")[2]
        first, place, *_, last = own.rpartition("/")[2].removesuffix(".jpeg").split("_")
        cases.append(Case(own, root / own, row["caption_options"], tag=place))
        groups.setdefault((first, last), {})[place] = own
    found = figures(clip, cases, macro="relation", parts=True)
    others = ("on", "under") if subset == "A" else ("in-front", "behind")
    for end in ("", "_blind"):
        found |= _groups(groups, found[f"accuracy{end}"].values, others, end)
    return found


def _groups(groups, right, others, end):
    """A pair needs its two pictures, a set all four."""
    pairs, sets = {}, {}
    for things, group in groups.items():
        for two in (others, ("left", "right")):
            if all(place in group for place in two):
                case = f"{' '.join(things)} {'/'.join(two)}"
                pairs[case] = float(all(right[group[place]] for place in two))
        if len(group) == 4:
            sets[" ".join(things)] = float(all(right[name] for name in group.values()))
    return {
        f"pair{end}": Figure(pairs, chances=1 / 4**2),
        f"set{end}": Figure(sets, chances=1 / 4**4),
    }


def spatial(clip, root, source, objects):
    folder, prefix = {"coco": ("val2017", "coco"), "gqa": ("vg_images", "vg")}[source]
    cases = []
    for number, *said in json.loads((root / f"{prefix}_qa_{objects}_obj.json").read_text()):
        file = f"{folder}/{number:012d}.jpg" if source == "coco" else f"{folder}/{number}.jpg"
        tag = _preposition(said[0], objects)
        cases.append(Case(f"{file} {said[0]}", root / file, said, tag=tag))
    return figures(clip, cases, macro="relation", parts=True)


def _preposition(caption, objects):
    words = ("left", "right", "above", "below", "front", "behind")
    return caption.split()[-1] if objects == "one" else next(w for w in words if f"{w} " in caption)


def aro(clip, root, kind):
    cases = []
    for row in json.loads((root / f"visual_genome_{kind}.json").read_text()):
        x, y, w, h = (row[f"bbox_{key}"] for key in "xywh")
        box, path = (x, y, x + w, y + h), f"images/{row['image_path']}"
        tag = row["relation_name"] if kind == "relation" else tuple(row["attributes"])
        said = [row["true_caption"], row["false_caption"]]
        name = f"{path}@{','.join(map(str, box))} {said[0]}"
        cases.append(Case(name, root / path, said, box=box, tag=tag))
    if kind == "relation":
        return figures(clip, cases, macro="relation")
    found = figures(clip, cases, macro="attributes")
    tags = [case.tag for case in cases]
    common = {case.name for case in cases if tags.count(case.tag) >= 25}
    for end in ("", "_blind"):
        figure = found[f"macro_attributes{end}"].only(common)
        found |= {f"macro_common_attributes{end}": figure} if figure else {}
    return found


def order(clip, root, name):
    cases = [
        Case(
            f"{row['image']} {row['caption_options'][0]}",
            root / row["image"],
            row["caption_options"],
        )
        for row in json.loads((root / f"{name}.json").read_text())
    ]
    return figures(clip, cases)


def sugarcrepe(clip, root):
    cases = []
    for path in sorted(root.glob("*.json")):
        for row in json.loads(path.read_text()).values():
            said, picture = [row["caption"], row["negative_caption"]], f"val2017/{row['filename']}"
            name = f"{path.stem} {picture} {said[0]}"
            cases.append(Case(name, root / picture, said, tag=path.stem))
    return figures(clip, cases, macro="category", parts=True)
