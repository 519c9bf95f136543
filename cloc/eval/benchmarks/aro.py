"""ARO: who does what to whom, what is which colour, and in which order words make sense.

Yuksekgonul, Bianchi, Kalluri, Jurafsky and Zou, "When and why vision-language models behave like
bags-of-words", ICLR 2023.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cloc.errors import UserError
from cloc.eval.choices import Choice, measure_choices
from cloc.eval.measured import Measured
from cloc.eval.partial import spread
from cloc.eval.suite_files import read_json, text_of, texts_of, whole_number_of
from cloc.eval.suite_pictures import Crop, Picture, file_pictures
from cloc.interfaces import Embedder, Split

TRUE = 1  # the option that is true: the published loaders give the false caption first
FEWEST = 25  # cases of a pair of attributes that the published mean over pairs asks for
SIDES = ("to the left of", "to the right of")  # the false caption swaps the two things
ORDERS = {"coco": "coco_order.json", "flickr30k": "flickr30k_order.json"}


@dataclass(frozen=True, kw_only=True)
class AroRelation:
    """VG-Relation: the two things of a caption swapped or not, looked at in the box around both.

    `root` holds visual_genome_relation.json and the folder images. accuracy: share of all cases
    (micro); macro_relation: mean over the relations; macro_kept_relation: over those not in
    `left_out`, where it names some: the published figure leaves out the relations that the
    notebook beside the published code lists as symmetric. Guessing gets 1/2; a tie is wrong.
    """

    uses_regions: ClassVar[bool] = False
    own_data: ClassVar[bool] = True
    root: str
    left_out: Sequence[str] = ()
    batch_size: int = 64
    limit: int | None = None  # cases
    seed: int = 0

    def choices(self) -> list[Choice]:
        """As published, in file order; `UserError` for a file or picture that is not as expected"""
        found = []
        for row, where, picture in _boxed(Path(self.root), "visual_genome_relation.json"):
            relation = text_of(row, "relation_name", where)
            tags = {"relation": relation}
            if self.left_out and relation not in self.left_out:
                tags["kept_relation"] = relation
            mirrored = 1 - TRUE if relation in SIDES else None
            found.append(_choice(row, where, picture, tags, mirrored))
        if unknown := set(self.left_out) - {choice.tags["relation"] for choice in found}:
            raise UserError(
                f"left_out names {min(unknown)!r}, which is no relation of the file; correct it in "
                "left_out"
            )
        return found

    def run(self, embedder: Embedder, split: Split) -> Measured:
        about = {
            "protocol": "ARO VG-Relation: 2 captions, cosine, cropped to the box of the relation",
            "left_out": list(self.left_out),
        }
        return measure_choices(
            embedder,
            spread(self.choices(), self.limit),
            batch_size=self.batch_size,
            seed=self.seed,
            about=about,
        )


@dataclass(frozen=True, kw_only=True)
class AroAttribution:
    """VG-Attribution: the attributes of two things swapped or not, in the box around both.

    `root` holds visual_genome_attribution.json and the folder images. accuracy: share of all cases
    (micro); macro_attributes: mean over the ordered pairs of attributes; macro_common_attributes:
    over those of at least 25 cases, which is the published figure. Guessing gets 1/2; a tie is
    wrong.
    """

    uses_regions: ClassVar[bool] = False
    own_data: ClassVar[bool] = True
    root: str
    batch_size: int = 64
    limit: int | None = None  # cases
    seed: int = 0

    def choices(self) -> list[Choice]:
        """As published, in file order; `UserError` for a file or picture that is not as expected"""
        rows = _boxed(Path(self.root), "visual_genome_attribution.json")
        pairs = ["_".join(texts_of(row, "attributes", w, count=2)) for row, w, _ in rows]
        cases = Counter(pairs)
        found = []
        for pair, (row, where, picture) in zip(pairs, rows, strict=True):
            common = {"common_attributes": pair} if cases[pair] >= FEWEST else {}
            found.append(_choice(row, where, picture, {"attributes": pair} | common))
        return found

    def run(self, embedder: Embedder, split: Split) -> Measured:
        about = {
            "protocol": "ARO VG-Attribution: 2 captions, cosine, cropped to the box of both things",
            "fewest_cases_of_common_attributes": FEWEST,
        }
        return measure_choices(
            embedder,
            spread(self.choices(), self.limit),
            batch_size=self.batch_size,
            seed=self.seed,
            about=about,
        )


@dataclass(frozen=True, kw_only=True)
class AroOrder:
    """COCO-Order and Flickr30k-Order: the caption against four shuffles of its words, all of them
    lower case and of at most 30 words as the published loader makes them; guessing gets 1/5.

    That loader shuffles by spaCy and NLTK anew at every run; here its cases are read from a file:
    `root` holds coco_order.json or flickr30k_order.json, a list of {"image", "caption_options"}
    with the caption first, and the pictures under these paths. accuracy is its precision at 1; a
    tie is wrong. A language model without eyes is nearly perfect: this shows no sense of place.
    """

    uses_regions: ClassVar[bool] = False
    own_data: ClassVar[bool] = True
    root: str
    source: str  # coco or flickr30k
    batch_size: int = 64
    limit: int | None = None  # cases
    seed: int = 0

    def choices(self) -> list[Choice]:
        """In file order; `UserError` for a file or picture that is not as expected."""
        if self.source not in ORDERS:
            raise UserError(f"source is {self.source!r}; set source to coco or flickr30k")
        root = Path(self.root)
        rows = _rows(root / ORDERS[self.source])
        paths = [root / text_of(row, "image", where) for row, where in rows]
        found = []
        for (row, where), picture in zip(rows, file_pictures(paths, root=root), strict=True):
            options = texts_of(row, "caption_options", where, count=5)
            name = f"{picture.key} {options[0]}"
            found.append(Choice(name=name, picture=picture, options=options, gold=0))
        return found

    def run(self, embedder: Embedder, split: Split) -> Measured:
        about = {"protocol": f"ARO {self.source}-Order: a caption and 4 shuffles of it, cosine"}
        return measure_choices(
            embedder,
            spread(self.choices(), self.limit),
            batch_size=self.batch_size,
            seed=self.seed,
            about=about,
        )


def _rows(place: Path) -> list[tuple[Any, str]]:
    return [(row, f"{place}: entry {i}") for i, row in enumerate(read_json(place, form=list))]


def _boxed(root: Path, file: str) -> list[tuple[Any, str, Picture]]:
    """The records of a file, where each stands, and the part of its picture that is looked at."""
    rows = _rows(root / file)
    paths = [root / "images" / text_of(row, "image_path", where) for row, where in rows]
    crops = [_crop(row, where) for row, where in rows]
    pictures = file_pictures(paths, root=root, crops=crops)
    return [(*row, picture) for row, picture in zip(rows, pictures, strict=True)]


def _crop(row: Any, where: str) -> Crop:
    x, y, width, height = (whole_number_of(row, f"bbox_{side}", where) for side in "xywh")
    if width < 1 or height < 1:
        raise UserError(
            f"{where}: a box of {width} x {height} pixels (bbox_w, bbox_h) shows nothing; take the "
            "file as published"
        )
    return x, y, x + width, y + height


def _choice(
    row: Any, where: str, picture: Picture, tags: Mapping[str, str], mirrored: int | None = None
) -> Choice:
    options = tuple(text_of(row, field, where) for field in ("false_caption", "true_caption"))
    name = f"{picture.key} {options[TRUE]}"
    return Choice(
        name=name, picture=picture, options=options, gold=TRUE, tags=tags, mirrored=mirrored
    )
