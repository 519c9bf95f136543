"""FG-OVD: does a box's own caption beat captions in which one attribute is wrong?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from cloc.data.samples.validate import shown
from cloc.errors import UserError
from cloc.eval.annotations import Row, by_id, corners, read_json, rows_of
from cloc.eval.encode import region_vectors, text_vectors
from cloc.eval.measured import Cases, Figures, Measured
from cloc.eval.metrics import rank_of_match, similarity
from cloc.eval.partial import spread
from cloc.eval.pictures import case_names, picture_example, require_pictures
from cloc.interfaces import Embedder, Example, Split

KEY = "benchmarks.fg_ovd"
FILES = {
    "hard": "1_attributes.json",
    "medium": "2_attributes.json",
    "easy": "3_attributes.json",
    "trivial": "shuffle_negatives.json",
    "color": "color.json",
    "material": "material.json",
    "pattern": "pattern.json",
    "transparency": "transparency.json",
}
IMAGE = {"id": int, "file_name": str, "width": int, "height": int}
BOX = {"id": int, "image_id": int, "bbox": list, "category_id": int, "neg_category_ids": list}


class _Level(NamedTuple):
    examples: list[Example]  # `meta["options"]`: the texts per box, the right one first
    left_out: int  # boxes with too few negatives


@dataclass(frozen=True, kw_only=True)
class FgOvd:
    """The share of boxes whose own caption is nearer than each of its first `negatives` wrong ones
    (Bianchi et al., CVPR 2024; as a dual encoder is scored, FG-CLIP, arXiv 2505.05071): a figure
    per level. Values in [0, 1]; ties count as wrong, also those of captions that the encoder reads
    alike, as where it cuts them off; `about` counts them. Chance is 1 / (1 + `negatives`).

    `root` holds the upstream files, 1_attributes.json (hard), 2_attributes.json (medium),
    3_attributes.json (easy), shuffle_negatives.json (trivial) and, where `levels` ask for them,
    color, material, pattern and transparency.json; in each, a category is a caption. `pictures`
    (null: `root`) holds COCO's folders, such as val2017. As upstream has it, a box with fewer
    negatives than `negatives` is left out.
    """

    uses_regions: ClassVar[bool] = True
    own_data: ClassVar[bool] = True
    root: str
    pictures: str | None = None
    levels: Sequence[str] = ("hard", "medium", "easy", "trivial")
    negatives: int = 10
    batch_size: int = 64
    limit: int | None = None  # pictures of each level

    def run(self, embedder: Embedder, split: Split) -> Measured:
        if unknown := [level for level in self.levels if level not in FILES]:
            raise UserError(f"{KEY}.levels has {unknown[0]!r}; known are {', '.join(FILES)}")
        if self.negatives < 1:
            raise UserError(f"{KEY}.negatives={self.negatives}: give 1 or more")
        cases: dict[str, Cases] = {}
        about: dict[str, Any] = {"negatives": self.negatives}
        for level in self.levels:
            examples, left_out = self._read(Path(self.root) / FILES[level])
            cases[level], alike = self._ask(embedder, spread(examples, self.limit))
            about[level] = {"left_out": left_out, "read_alike": alike}
        chance = dict.fromkeys(cases, 1 / (1 + self.negatives))
        return Measured(Figures(cases=cases, chance=chance, about=about))

    def _ask(self, embedder: Embedder, examples: Sequence[Example]) -> tuple[Cases, int]:
        options = [own for e in examples for own in e.meta["options"]]
        texts = [text for own in options for text in own]
        words, rows = text_vectors(embedder, texts, batch_size=self.batch_size)
        rows = rows.reshape(len(options), 1 + self.negatives)
        alike = int((rows[:, 1:] == rows[:, :1]).any(1).sum())
        match = torch.zeros(1, 1 + self.negatives, dtype=torch.bool)
        match[0, 0] = True
        right, names, start = [], [], 0
        for example, regions in region_vectors(embedder, examples, batch_size=self.batch_size):
            for vector, own in zip(regions, rows[start : start + len(regions)], strict=True):
                rank = rank_of_match(similarity(vector[None], words[own]), match)
                right.append(float(rank[0] == 0))
            names += case_names(example)
            start += len(regions)
        return Cases(values=torch.tensor(right, dtype=torch.float64), names=names), alike

    def _read(self, path: Path) -> _Level:
        data = read_json(path, key=f"{KEY}.root, or {KEY}.levels,")
        images = by_id(rows_of(data, "images", IMAGE, path), path, "images")
        categories = rows_of(data, "categories", {"id": int, "name": str}, path)
        captions = {row["id"]: row["name"] for row in categories}
        boxes = rows_of(data, "annotations", BOX, path)
        kept: dict[int, list[Row]] = {}
        for row in boxes:
            _check(row, images, captions, path)
            if len(row["neg_category_ids"]) >= self.negatives:
                kept.setdefault(row["image_id"], []).append(row)
        count = sum(map(len, kept.values()))
        if not kept:
            most = max(len(row["neg_category_ids"]) for row in boxes)
            raise UserError(
                f"{path}: no box has {self.negatives} negatives, the most are {most}; set "
                f"{KEY}.negatives to that or less"
            )
        folder = Path(self.pictures or self.root)
        places = {i: folder / images[i]["file_name"] for i in kept}
        require_pictures(list(places.values()), key=f"{KEY}.pictures")
        return _Level(
            [
                _example(places[i], images[i], rows, captions, self.negatives, path)
                for i, rows in kept.items()
            ],
            len(boxes) - count,
        )


def _example(
    path: Path,
    image: Row,
    rows: Sequence[Row],
    captions: dict[int, str],
    negatives: int,
    file: Path,
) -> Example:
    ids = [(row["category_id"], *row["neg_category_ids"][:negatives]) for row in rows]
    options = [[captions[i] for i in own] for own in ids]
    return picture_example(
        path,
        key=path.stem,
        boxes=np.stack([corners(row["bbox"], f"{file}: annotation {row['id']}") for row in rows]),
        phrases=[own[0] for own in options],
        meta={"options": options},
        size=(image["width"], image["height"]),
    )


def _check(row: Row, images: dict[int, Row], captions: dict[int, str], path: Path) -> None:
    where = f"{path}: annotation {row['id']}"
    if row["image_id"] not in images:
        raise UserError(
            f"{where} is of image {row['image_id']}, which the file has not; get it new"
        )
    for i in (row["category_id"], *row["neg_category_ids"]):
        if i not in captions:
            raise UserError(
                f"{where} names category {shown(i)}, which the file has not; get it new"
            )
