"""SugarCrepe: a caption of COCO against a fluent one with a word replaced, swapped or added.

Hsieh, Zhang, Ma, Kembhavi and Krishna, "SugarCrepe", NeurIPS 2023 (datasets and benchmarks).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cloc.eval.choices import Choice, measure_choices
from cloc.eval.measured import Measured
from cloc.eval.partial import spread
from cloc.eval.suite_files import read_json, text_of
from cloc.eval.suite_pictures import file_pictures
from cloc.interfaces import Embedder, Split

PUBLISHED = {  # cases of each file
    "add_att": 692,
    "add_obj": 2062,
    "replace_att": 788,
    "replace_obj": 1652,
    "replace_rel": 1406,
    "swap_att": 666,
    "swap_obj": 245,
}
FOLDER = "val2017"


@dataclass(frozen=True, kw_only=True)
class SugarCrepe:
    """Two captions a picture; the true one must have the higher cosine, clearly: guessing gets 1/2.

    `root` holds the seven published JSON files and the pictures in val2017.
    accuracy: share of all cases; accuracy_replace_obj and so on: of one file; macro_category: mean
    over the seven files. The published figures are those of the files.
    """

    uses_regions: ClassVar[bool] = False
    own_data: ClassVar[bool] = True
    root: str
    batch_size: int = 64
    limit: int | None = None  # cases
    seed: int = 0

    def choices(self) -> list[Choice]:
        """File by file, in file order; `UserError` for what is not as expected."""
        root = Path(self.root)
        cases = []
        for category in PUBLISHED:
            place = root / f"{category}.json"
            for key, row in read_json(place, form=dict).items():
                where = f"{place}: entry {key}"
                fields = ("filename", "caption", "negative_caption")
                cases.append((category, *(text_of(row, field, where) for field in fields)))
        pictures = file_pictures([root / FOLDER / case[1] for case in cases], root=root)
        return [
            Choice(
                name=f"{category} {picture.key} {right}",
                picture=picture,
                options=(right, wrong),
                gold=0,
                tags={"category": category},
            )
            for picture, (category, _, right, wrong) in zip(pictures, cases, strict=True)
        ]

    def run(self, embedder: Embedder, split: Split) -> Measured:
        return measure_choices(
            embedder,
            spread(self.choices(), self.limit),
            batch_size=self.batch_size,
            seed=self.seed,
            each=("category",),
            about={
                "protocol": "SugarCrepe: 2 captions, strictly higher cosine",
                "published_cases": PUBLISHED,
            },
        )
