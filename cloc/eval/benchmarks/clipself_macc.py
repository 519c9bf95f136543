"""CLIPSelf's region classification: the segments of COCO panoptic, things and stuff apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from cloc.data.samples.validate import is_texts, shown
from cloc.errors import UserError
from cloc.eval.annotations import read_json
from cloc.eval.classes import (
    class_answers,
    class_cases,
    class_chance,
    class_vectors,
    confused,
    joined,
    names_of_rows,
)
from cloc.eval.encode import region_vectors
from cloc.eval.measured import Cases, Figures, Measured
from cloc.eval.panoptic import read_panoptic
from cloc.eval.partial import spread
from cloc.eval.pictures import case_names
from cloc.eval.templates import class_prompts, read_templates
from cloc.interfaces import Embedder, Split

KEY = "benchmarks.clipself_macc"


@dataclass(frozen=True, kw_only=True)
class ClipselfMacc:
    """CLIPSelf's protocol (arXiv 2310.01403) on the upstream files of COCO panoptic val2017 under
    `root`: `thing_macc` and `stuff_macc`, the mean per class of the share of segments whose class
    is nearest among all classes of the file, things and stuff; `_macc_top5` among the five nearest,
    `_top1` and `_top5` over all segments. Values in [0, 1]; ties count as wrong.

    An extractor of boxes gives the paper's "boxes" as things; one that looks at `Example.masks`
    (mask_pool) gives its "thing masks" and "stuff masks". The paper shows 1024 px: that is the
    `image_size` of the encoder, each picture is shown in the encoder's own frame. A class is
    the mean of its prompts, of `prompts`, a JSON file {class name: [prompt, ...]}, or where there
    is none of its name in `templates`, without "-merged", "-other" and "-stuff".
    """

    uses_regions: ClassVar[bool] = True
    own_data: ClassVar[bool] = True
    root: str
    annotations: str = "annotations/panoptic_val2017.json"
    masks: str = "annotations/panoptic_val2017"
    pictures: str = "val2017"
    templates: str = "clip_80"
    prompts: str | None = None
    batch_size: int = 64
    limit: int | None = None  # pictures

    def run(self, embedder: Embedder, split: Split) -> Measured:
        root = Path(self.root)
        examples, things, left_out = read_panoptic(
            root / self.annotations,
            masks=root / self.masks,
            pictures=root / self.pictures,
            key=f"{KEY}.root",
        )
        prompts = self._prompts(things)
        classes, rows = class_vectors(embedder, prompts, batch_size=self.batch_size)
        row_of = dict(zip(prompts, rows.tolist(), strict=True))
        chosen = spread(examples, self.limit)
        parts, names, is_thing = [], [], []
        for example, regions in region_vectors(embedder, chosen, batch_size=self.batch_size):
            target = torch.tensor([row_of[label] for label in example.labels])
            parts.append(class_answers(regions, classes, target))
            names += case_names(example)
            is_thing += [things[label] for label in example.labels]
        if not parts:
            return Measured(Figures())
        answers, of_rows, thing = joined(parts), names_of_rows(row_of), torch.tensor(is_thing)
        cases: dict[str, Cases] = {}
        for kind, own in (("thing", thing), ("stuff", ~thing)):
            found = class_cases(answers, names, of_rows=of_rows, chosen=own)
            cases |= {f"{kind}_{name}": value for name, value in found.items()}
        about = {
            "figure": "thing_macc, stuff_macc",
            "regions": "boxes, or masks where the extractor looks at Example.masks",
            "resolution": "the encoder's image_size (1024 px in the paper), in its own frame",
            "templates": self.prompts or self.templates,
            "left_out": left_out,
            "confused": confused(answers, of_rows),
        }
        return Measured(Figures(cases=cases, chance=class_chance(cases, len(classes)), about=about))

    def _prompts(self, things: Mapping[str, bool]) -> dict[str, list[str]]:
        if self.prompts is None:
            templates = read_templates(self.templates, key=f"{KEY}.templates")
            return class_prompts({name: spoken(name) for name in things}, templates)
        given = read_json(Path(self.prompts), key=f"{KEY}.prompts")
        found = {}
        for name in things:
            own = given.get(name) if isinstance(given, dict) else None
            if own is None or not is_texts(own):
                raise UserError(
                    f"{self.prompts}: class {name!r} has the prompts {shown(own)}, expected a list "
                    f"of texts; give it some, or set {KEY}.prompts=null"
                )
            found[name] = list(own)
        return found


def spoken(name: str) -> str:
    """A class of COCO panoptic in words: "wall-other-merged" is a wall, "door-stuff" a door."""
    for ending in ("-merged", "-other", "-stuff"):
        name = name.removesuffix(ending)
    return name.replace("-", " ").replace("_", " ")
