"""COCO-spatial and GQA-spatial: where one thing, or one of two, is in a photograph.

The sets made of COCO val 2017 and of Visual Genome (GQA) by Kamath, Hessel and Chang, EMNLP 2023.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from cloc.errors import UserError
from cloc.eval.choices import Choice, measure_choices, mirrored_option
from cloc.eval.measured import Measured
from cloc.eval.partial import spread
from cloc.eval.suite_files import phrase_in, read_json
from cloc.eval.suite_pictures import file_pictures
from cloc.interfaces import Embedder, Split


class _Set(NamedTuple):
    file: str
    folder: str
    digits: int  # to which a number of a picture is filled up with zeros
    published: int  # cases


SETS = {
    ("coco", "one"): _Set("coco_qa_one_obj.json", "val2017", 12, 2247),
    ("coco", "two"): _Set("coco_qa_two_obj.json", "val2017", 12, 440),
    ("gqa", "one"): _Set("vg_qa_one_obj.json", "vg_images", 0, 1160),
    ("gqa", "two"): _Set("vg_qa_two_obj.json", "vg_images", 0, 291),
}
RELATIONS = ("left", "right", "above", "below", "front", "behind", "top", "bottom")


@dataclass(frozen=True, kw_only=True)
class CocoSpatial:
    """Two captions a picture that differ in the preposition, the first of the file true; a cosine
    tie is wrong, and guessing gets 1/2.

    `root` holds the published JSON and the folder of pictures (val2017 or vg_images).
    accuracy: share of cases; macro_relation: mean over the relations of the true captions, and
    accuracy_left and so on.
    """

    uses_regions: ClassVar[bool] = False
    own_data: ClassVar[bool] = True
    root: str
    source: str  # coco or gqa
    objects: str  # one or two
    batch_size: int = 64
    limit: int | None = None  # cases
    seed: int = 0

    def choices(self) -> list[Choice]:
        """As published, in file order; `UserError` for a file or picture that is not as expected"""
        root, known = Path(self.root), self._set()
        place = root / known.file
        rows = [
            _row(row, f"{place}: entry {i}") for i, row in enumerate(read_json(place, form=list))
        ]
        paths = [root / known.folder / f"{row[0].zfill(known.digits)}.jpg" for row in rows]
        pictures = file_pictures(paths, root=root)
        return [
            Choice(
                name=f"{picture.key} {right}",
                picture=picture,
                options=(right, wrong),
                gold=0,
                tags={"relation": phrase_in(right, phrases=RELATIONS) or "other"},
                mirrored=mirrored_option((right, wrong), 0),
            )
            for picture, (_, right, wrong) in zip(pictures, rows, strict=True)
        ]

    def run(self, embedder: Embedder, split: Split) -> Measured:
        name = {"coco": "COCO-spatial", "gqa": "GQA-spatial"}
        known = self._set()
        return measure_choices(
            embedder,
            spread(self.choices(), self.limit),
            batch_size=self.batch_size,
            seed=self.seed,
            each=("relation",),
            about={
                "protocol": f"{name[self.source]}, {self.objects} object(s): 2 captions, cosine",
                "published_cases": known.published,
            },
        )

    def _set(self) -> _Set:
        if (self.source, self.objects) not in SETS:
            raise UserError(
                f"source is {self.source!r} and objects {self.objects!r}; set source to coco or "
                "gqa and objects to one or two"
            )
        return SETS[self.source, self.objects]


def _row(row: Any, where: str) -> tuple[str, str, str]:
    """The number of the picture, the true and the false caption."""
    good = isinstance(row, list) and len(row) == 3 and all(isinstance(x, str) for x in row[1:])
    number = str(row[0]) if good else ""
    if not number.isdecimal() or isinstance(row[0], bool) or not all(x.strip() for x in row[1:]):
        raise UserError(
            f"{where} is {str(row)[:80]}, not [number of a picture, true caption, false caption]; "
            "take the file as published"
        )
    return number, row[1].strip(), row[2].strip()
