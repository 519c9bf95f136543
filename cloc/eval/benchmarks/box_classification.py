"""Which class does a box show? The same boxes by two protocols that are often confused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from cloc.errors import UserError
from cloc.eval.classes import (
    Answers,
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
from cloc.eval.pictures import case_names
from cloc.eval.templates import class_prompts, read_templates
from cloc.interfaces import Embedder, Example, Split

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, float("inf"))}
FREQUENCIES = {"rare": "r", "common": "c", "frequent": "f"}  # as LVIS marks its classes
SAID = "rare / common / frequent: of the classes that meta['frequency'] of a picture marks"


@dataclass(frozen=True, kw_only=True)
class ClocMacc:
    """CLOC's protocol (arXiv 2410.02746, table 2): a class is its bare name, and `macc`, the mean
    of the recalls of the classes that occur, is the figure.

    Beside it `top1`, the share of all boxes; `macc_top5` and `top5`; each for the `_small`,
    `_medium` and `_large` boxes (below 32^2, below 96^2 and other square pixels of the picture as
    given, of the box and not, as COCO counts, of the mask) and, where `meta["frequency"]` of the
    pictures maps labels to r, c or f, for the `_rare`, `_common` and `_frequent` classes. All
    classes of the split are candidates everywhere. Values in [0, 1]; ties count as wrong; boxes
    without a label are left out. The bare name is the first prompt that the split has for a class.
    """

    uses_regions: ClassVar[bool] = True
    own_data: ClassVar[bool] = False
    batch_size: int = 64

    def run(self, embedder: Embedder, split: Split) -> Measured:
        return _measure(embedder, split, ("{}",), self.batch_size, "macc")


@dataclass(frozen=True, kw_only=True)
class FgclipTop1:
    """FG-CLIP's protocol (arXiv 2505.05071): a class is the mean of its prompts in `templates`, a
    name or a file of `cloc.eval.templates.read_templates`, and `top1`, the share of all boxes, is
    the figure. The others are those of `ClocMacc`.

    The default `clip_80` is CLIP's ensemble of eighty, as FG-CLIP's evaluation takes it.
    """

    uses_regions: ClassVar[bool] = True
    own_data: ClassVar[bool] = False
    batch_size: int = 64
    templates: str = "clip_80"

    def run(self, embedder: Embedder, split: Split) -> Measured:
        templates = read_templates(self.templates, key="benchmarks.fgclip_top1.templates")
        return _measure(embedder, split, templates, self.batch_size, "top1")


def _measure(
    embedder: Embedder, split: Split, templates: Sequence[str], batch_size: int, figure: str
) -> Measured:
    labelled = [example for example in split.examples if any(example.labels)]
    if not split.classes or not labelled:
        return Measured(Figures())
    names = _names(split, labelled)
    prompts = class_prompts(names, templates)
    classes, rows = class_vectors(embedder, prompts, batch_size=batch_size)
    row_of = dict(zip(names, rows.tolist(), strict=True))
    parts, boxes = [], _Boxes()
    for example, regions in region_vectors(embedder, labelled, batch_size=batch_size):
        kept = [i for i, label in enumerate(example.labels) if label]
        target = torch.tensor([row_of[example.labels[i]] for i in kept])
        parts.append(class_answers(regions[kept], classes, target))
        boxes.add(example, kept)
    answers, of_rows = joined(parts), names_of_rows(row_of)
    cases = boxes.cases(answers, of_rows)
    about = {
        "figure": figure,
        "templates": list(templates),
        "classes": len(classes),
        "sizes": "square pixels of the box: small < 32^2 <= medium < 96^2 <= large",
        "frequencies": SAID,
        "confused": confused(answers, of_rows),
    }
    return Measured(Figures(cases=cases, chance=class_chance(cases, len(classes)), about=about))


class _Boxes:
    """What is known of the boxes besides their class."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.areas: list[float] = []
        self.frequencies: list[str] = []

    def add(self, example: Example, kept: Sequence[int]) -> None:
        names, sides = case_names(example), example.boxes[:, 2:] - example.boxes[:, :2]
        marks = example.meta.get("frequency")
        marks = marks if isinstance(marks, Mapping) else {}
        self.names += [names[i] for i in kept]
        self.areas += [float(sides[i, 0]) * float(sides[i, 1]) for i in kept]
        self.frequencies += [str(marks.get(example.labels[i], "")) for i in kept]

    def cases(self, answers: Answers, of_rows: Sequence[str]) -> dict[str, Cases]:
        found = class_cases(answers, self.names, of_rows=of_rows)
        areas = torch.tensor(self.areas)
        for size, (low, high) in SIZES.items():
            chosen = (areas >= low) & (areas < high)
            found |= class_cases(answers, self.names, chosen=chosen, suffix=f"_{size}")
        for word, mark in FREQUENCIES.items():
            chosen = torch.tensor([own == mark for own in self.frequencies])
            found |= class_cases(answers, self.names, chosen=chosen, suffix=f"_{word}")
        return found


def _names(split: Split, labelled: Sequence[Example]) -> dict[str, str]:
    """Label -> what the class is called; `UserError` for a label or a class that is not."""
    labels = {label for example in labelled for label in example.labels if label}
    if unknown := labels - set(split.classes):
        raise UserError(
            f"split {split.name!r}: label {min(unknown)!r} of a box is not among its "
            f"{len(split.classes)} classes; add it to the split's classes or leave the label empty"
        )
    if silent := [name for name, prompts in split.classes.items() if not prompts]:
        raise UserError(
            f"split {split.name!r}: class {silent[0]!r} has no prompt; give it at least one"
        )
    return {label: prompts[0] for label, prompts in split.classes.items()}
