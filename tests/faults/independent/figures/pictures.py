"""Zero-shot classes of whole pictures: ImageNet's folders and CLIP_benchmark's tars."""

import io
import tarfile

import numpy as np
import PIL.Image

from tests.faults.independent.figure import margin
from tests.faults.independent.figures.boxes import class_texts, with_sizes


def folders(clip, root, templates):
    classes = sorted(path for path in root.iterdir() if path.is_dir())
    names = (root / "classnames.txt").read_text().split("\n")[: len(classes)]
    rows = [
        (f"{folder.name}/{path.name}", label, path.read_bytes())
        for label, folder in enumerate(classes)
        for path in sorted(folder.iterdir())
    ]
    return _figures(clip, rows, names, templates)


def tars(clip, root):
    names = (root / "classnames.txt").read_text().split("\n")
    said = (root / "zeroshot_classification_templates.txt").read_text().split("\n")
    rows = []
    for path in sorted(root.glob("test/*.tar")):
        with tarfile.open(path) as tar:
            data = {member.name: tar.extractfile(member).read() for member in tar}
        keys = [name.removesuffix(".cls") for name in data if name.endswith(".cls")]
        rows += [(f"{path.stem}/{k}", int(data[f"{k}.cls"]), data[f"{k}.jpg"]) for k in keys]
    return _figures(clip, rows, names, [line.replace("{c}", "{}") for line in said])


def _figures(clip, rows, names, templates):
    texts = class_texts(clip, names, templates)
    images = [PIL.Image.open(io.BytesIO(data)).convert("RGB") for _, _, data in rows]
    scores = np.float64(clip.pictures(images)) @ texts.T
    margins, labels = {1: {}, 5: {}}, {}
    for (name, label, _), row in zip(rows, scores, strict=True):
        labels[name] = label
        for k, own in margins.items():
            own[name] = margin(row, np.arange(len(names)) == label, k)
    return with_sizes(margins, labels, {}, len(names))
