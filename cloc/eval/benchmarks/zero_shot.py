"""Zero-shot classification of whole pictures: a class is the mean of its prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cloc.eval.class_folders import read_class_folders, read_names
from cloc.eval.class_tars import read_class_tars
from cloc.eval.classes import (
    class_answers,
    class_cases,
    class_chance,
    class_vectors,
    confused,
    joined,
    names_of_rows,
)
from cloc.eval.encode import image_vectors
from cloc.eval.measured import Figures, Measured
from cloc.eval.partial import spread
from cloc.eval.templates import read_templates
from cloc.interfaces import Embedder, Example, Split


@dataclass(frozen=True, kw_only=True)
class ZeroShot:
    """CLIP's protocol (arXiv 2103.00020): `top1` and `top5`, the share of pictures whose class is
    nearest or among the five nearest, and `macc` and `macc_top5`, the same per class and then the
    mean over the classes. Values in [0, 1]; ties count as wrong.

    `root` has a folder for each class, in the order of their names (torchvision's ImageFolder), and
    `classnames`, a text file, what each is called, one a line; null: the folders' names, with
    spaces for underscores. A relative path is one in `root`. A class is the mean of its name in all
    `templates`, a name or a file of `cloc.eval.templates.read_templates`.
    """

    uses_regions: ClassVar[bool] = False
    own_data: ClassVar[bool] = True
    root: str
    classnames: str | None = "classnames.txt"
    templates: str = "clip_80"
    batch_size: int = 64
    limit: int | None = None  # pictures

    def run(self, embedder: Embedder, split: Split) -> Measured:
        root, key = Path(self.root), "benchmarks.zero_shot"
        templates = read_templates(self.templates, key=f"{key}.templates")
        names: list[str] | None = None
        if self.classnames is not None:
            cure = f"set {key}.root to the folder that has it, or {key}.classnames to another"
            names = read_names(root / self.classnames, cure=cure)
        count = None if names is None else len(names)
        examples, folders = read_class_folders(
            root, names=count, limit=self.limit, key=f"{key}.root"
        )
        if names is None:
            names = [folder.replace("_", " ") for folder in folders]
        about = {"layout": "class folders", "templates": self.templates}
        return _measure(embedder, examples, names, templates, self.batch_size, about)


@dataclass(frozen=True, kw_only=True)
class ZeroShotWds:
    """As `ZeroShot`, of a webdataset in CLIP_benchmark's layout: `root` has classnames.txt,
    zeroshot_classification_templates.txt (with `{c}` for the name) and the tars of `subset`, whose
    samples are a picture and its class's number in a `.cls` member. `templates` other than null
    takes the place of the file of templates."""

    uses_regions: ClassVar[bool] = False
    own_data: ClassVar[bool] = True
    root: str
    subset: str = "test"
    templates: str | None = None
    batch_size: int = 64
    limit: int | None = None  # pictures

    def run(self, embedder: Embedder, split: Split) -> Measured:
        root, key = Path(self.root), "benchmarks.zero_shot_wds"
        cure = f"set {key}.root to a folder as CLIP_benchmark has it"
        names = read_names(root / "classnames.txt", cure=cure)
        file = root / "zeroshot_classification_templates.txt"
        templates = read_templates(self.templates or str(file), key=f"{key}.templates")
        examples = read_class_tars(root / self.subset, classes=len(names), key=f"{key}.root")
        examples = spread(examples, self.limit)
        about = {"layout": "CLIP_benchmark", "templates": self.templates or file.name}
        return _measure(embedder, examples, names, templates, self.batch_size, about)


def _measure(
    embedder: Embedder,
    examples: Sequence[Example],
    names: Sequence[str],
    templates: Sequence[str],
    batch_size: int,
    about: dict[str, Any],
) -> Measured:
    # by number: two classes may have one name, as ImageNet's cranes
    prompts = {
        f"{number} ({name})": [template.replace("{}", name) for template in templates]
        for number, name in enumerate(names)
    }
    classes, rows = class_vectors(embedder, prompts, batch_size=batch_size)
    parts, keys = [], []
    for example, vector in image_vectors(embedder, examples, batch_size=batch_size):
        target = rows[example.meta["class"]][None]
        parts.append(class_answers(vector[None], classes, target))
        keys.append(example.key)
    answers = joined(parts)
    of_rows = names_of_rows(dict(zip(prompts, rows.tolist(), strict=True)))
    cases = class_cases(answers, keys, of_rows=of_rows)
    about = about | {"classes": len(classes), "pictures": len(keys)}
    about["confused"] = confused(answers, of_rows)
    return Measured(Figures(cases=cases, chance=class_chance(cases, len(classes)), about=about))
