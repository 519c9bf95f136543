"""The suites of captions from their own files: which of some captions is nearest to a picture.

A picture in CLIP's own transform; the true caption must be above every other one by more than a
tie. Controls: a grey square in place of the picture (blind), its 8 x 8 patches shuffled (permuted;
how, the picture's path says), and the picture mirrored, over the cases of left and right, with the
old answer and with that of the mirror (turned).
"""

import json
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps

from tests.faults.independent.figure import Figure, counted, margin

GREY = (128, 128, 128)
GRID = 8
OPPOSITE = {"left": "right", "right": "left"}


class Case:
    """`options`: the first is true. `file` is below `root`; `box`: what is cut out of the picture
    before it is shown."""

    def __init__(self, name, root, file, options, *, box=None, tag=None):
        self.name, self.root, self.file, self.options = name, root, file, options
        self.box, self.tag = box, tag

    def picture(self):
        with PIL.Image.open(self.root / self.file) as image:
            shown = image.convert("RGB")
        return shown.crop(self.box) if self.box else shown

    def blind(self):
        return PIL.Image.new("RGB", (GRID, GRID), GREY)

    def permuted(self):
        key = f"{self.file}@{','.join(map(str, self.box))}" if self.box else self.file
        order = np.random.default_rng((0, zlib.crc32(key.encode()))).permutation(GRID**2)
        return shuffled(self.picture(), order)


VIEWS = {"": Case.picture, "_blind": Case.blind, "_permuted": Case.permuted}


def shuffled(image, order):
    """Cells of a raster, each in the place of another; bicubic there and back where they are no
    whole pixels."""
    sides = [-(-side // GRID) * GRID for side in image.size]
    whole = image.resize(sides, PIL.Image.Resampling.BICUBIC) if sides != [*image.size] else image
    w, h = (side // GRID for side in sides)
    corners = [(c * w, r * h) for r in range(GRID) for c in range(GRID)]
    made = PIL.Image.new("RGB", whole.size)
    for (x, y), at in zip(corners, order, strict=True):
        left, top = corners[at]
        made.paste(whole.crop((left, top, left + w, top + h)), (x, y))
    again = made.size != image.size
    return made.resize(image.size, PIL.Image.Resampling.BICUBIC) if again else made


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
    """accuracy, macro_KIND and, where `parts`, that of every tag; and, where a mirror changes
    answers, accuracy_left_right; each of every view."""
    tags = {case.name: case.tag for case in cases}
    turned = {case.name for case in cases if mirrored_answer(case) is not None}
    chances = {case.name: 1 / len(case.options) for case in cases}
    found = {}
    for end, view in VIEWS.items():
        every = counted(margins_of(clip, cases, [view(case) for case in cases]), chances)
        found[f"accuracy{end}"] = every
        if macro:
            found[f"macro_{macro}{end}"] = every.by(tags)
        if turned:
            found[f"accuracy_left_right{end}"] = every.only(turned)
        for tag in {*tags.values()} if parts else ():
            found[f"accuracy_{tag}{end}"] = every.only({n for n, t in tags.items() if t == tag})
    return found | (mirrored(clip, [c for c in cases if c.name in turned]) if turned else {})


def mirrored(clip, cases):
    shown = [PIL.ImageOps.mirror(case.picture()) for case in cases]
    answers = [mirrored_answer(case) for case in cases]
    return {
        "accuracy_left_right_mirrored": counted(margins_of(clip, cases, shown)),
        "accuracy_left_right_mirrored_turned": counted(margins_of(clip, cases, shown, answers)),
    }


def mirrored_answer(case):
    """Which option says the same with left and right changed; None where none does."""
    words = case.options[0].split()
    said = " ".join(OPPOSITE.get(word, word) for word in words)
    if said == " ".join(words) or said not in case.options:
        return None
    return case.options.index(said)


def whatsup(clip, root, subset):
    """Beside the others pair and set, over the groups that have all four pictures."""
    name = {"A": "controlled_images_dataset.json", "B": "controlled_clevr_dataset.json"}[subset]
    cases, groups = [], {}
    for row in json.loads((root / name).read_text()):
        own = row["image_path"].partition("/")[2]
        first, place, *_, last = own.rpartition("/")[2].removesuffix(".jpeg").split("_")
        cases.append(Case(own, root, own, row["caption_options"], tag=place))
        groups.setdefault((first, last), {})[place] = own
    found = figures(clip, cases, macro="relation", parts=True)
    others = ("on", "under") if subset == "A" else ("in-front", "behind")
    for end in VIEWS:
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
        cases.append(Case(f"{file} {said[0]}", root, file, said, tag=tag))
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
        cases.append(Case(name, root, path, said, box=box, tag=tag))
    if kind == "relation":
        return figures(clip, cases, macro="relation")
    found = figures(clip, cases, macro="attributes")
    tags = [case.tag for case in cases]
    common = {case.name for case in cases if tags.count(case.tag) >= 25}
    for end in VIEWS:
        figure = found[f"macro_attributes{end}"].only(common)
        found |= {f"macro_common_attributes{end}": figure} if figure else {}
    return found


def order(clip, root, name):
    cases = []
    for row in json.loads((root / f"{name}.json").read_text()):
        file, said = row["image"], row["caption_options"]
        cases.append(Case(f"{file} {said[0]}", root, file, said))
    return figures(clip, cases)


def sugarcrepe(clip, root):
    cases = []
    for path in sorted(root.glob("*.json")):
        for row in json.loads(path.read_text()).values():
            said, picture = [row["caption"], row["negative_caption"]], f"val2017/{row['filename']}"
            name = f"{path.stem} {picture} {said[0]}"
            cases.append(Case(name, root, picture, said, tag=path.stem))
    return figures(clip, cases, macro="category", parts=True)
