"""What'sUp A and B: two things in one of four places, photographed on purpose.

Kamath, Hessel and Chang, "What's 'up' with vision-language models?", EMNLP 2023.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple

from cloc.errors import UserError
from cloc.eval.choices import Choice, measure_choices, mirrored_option
from cloc.eval.measured import Measured
from cloc.eval.suite_files import read_json, text_of, texts_of
from cloc.eval.suite_pictures import file_pictures
from cloc.interfaces import Embedder, Split

OPTIONS = 4


class _Part(NamedTuple):
    file: str
    published: int  # pictures
    pairs: Mapping[str, str]  # relation, as file names have it -> the kind of pair it belongs to


SIDES = {"left": "left/right", "right": "left/right"}
PARTS = {
    "A": _Part(
        "controlled_images_dataset.json",
        412,
        SIDES | {"on": "on/under", "under": "on/under"},
    ),
    "B": _Part(
        "controlled_clevr_dataset.json",
        408,
        SIDES | {"in-front": "in-front/behind", "behind": "in-front/behind"},
    ),
}


@dataclass(frozen=True, kw_only=True)
class WhatsUp:
    """Four captions a picture, of which the first in the file is true; a cosine tie is wrong.

    `root` holds the published JSON of the `subset` and the folder of its pictures.
    accuracy: share of pictures; macro_relation: mean over the four relations, and accuracy_left
    and so on. pair: both pictures of two things in opposite places are right; set: all four of them
    are. A group that lacks a picture is in neither, and `about` counts it. A model that always
    says the same preposition gets 1/4, 0 and 0; guessing gets 1/4, 1/16 and 1/256.
    """

    uses_regions: ClassVar[bool] = False
    own_data: ClassVar[bool] = True
    root: str
    subset: str  # A or B
    batch_size: int = 64
    limit: int | None = None  # pictures, the first ones: neighbours make the pairs and sets
    seed: int = 0

    def choices(self) -> list[Choice]:
        """As published, in file order; `UserError` for a file or picture that is not as expected"""
        root = Path(self.root)
        place = root / self._part().file
        rows = read_json(place, form=list)
        wheres = [f"{place}: entry {number}" for number in range(len(rows))]
        files = [Path(text_of(r, "image_path", w)) for r, w in zip(rows, wheres, strict=True)]
        pictures = file_pictures([root / f.parent.name / f.name for f in files], root=root)
        found = []
        for row, where, picture in zip(rows, wheres, pictures, strict=True):
            options = texts_of(row, "caption_options", where, count=OPTIONS)
            things, relation = self._told(picture.key, where)
            found.append(
                Choice(
                    name=picture.key,
                    picture=picture,
                    options=options,
                    gold=0,
                    tags={"relation": relation},
                    groups={"pair": f"{things} {self._part().pairs[relation]}", "set": things},
                    mirrored=mirrored_option(options, 0),
                )
            )
        return found

    def run(self, embedder: Embedder, split: Split) -> Measured:
        choices, left_out = self._whole(self.choices()[: self.limit])
        about = {
            "protocol": f"What'sUp {self.subset}: 4 captions, cosine, pairs and sets by file name",
            "published_pictures": self._part().published,
            "incomplete_groups": left_out,
        }
        return measure_choices(
            embedder,
            choices,
            batch_size=self.batch_size,
            seed=self.seed,
            each=("relation",),
            about=about,
        )

    def _part(self) -> _Part:
        if self.subset not in PARTS:
            raise UserError(f"subset is {self.subset!r}; set subset to A or B")
        return PARTS[self.subset]

    def _told(self, key: str, where: str) -> tuple[str, str]:
        """The two things and the relation of a file name: mug_left_of_plate.jpeg."""
        words = Path(key).stem.split("_")
        if len(words) < 3 or words[1] not in self._part().pairs:
            raise UserError(
                f"{where}: {key} does not read THING_RELATION_THING with one of "
                f"{', '.join(self._part().pairs)}, as the files of What'sUp {self.subset} do"
            )
        return f"{words[0]} {words[-1]}", words[1]

    def _whole(self, choices: list[Choice]) -> tuple[list[Choice], int]:
        """Groups without each of their relations exactly once are taken out; and how many."""
        pairs = self._part().pairs
        members: dict[tuple[str, str], list[str]] = {}
        for choice in choices:
            for kind, name in choice.groups.items():
                members.setdefault((kind, name), []).append(choice.tags["relation"])
        needed = {
            (kind, name): [
                relation
                for relation in pairs
                if kind == "set" or pairs[relation] == name.rpartition(" ")[2]
            ]
            for kind, name in members
        }
        broken = {group for group, own in members.items() if sorted(own) != sorted(needed[group])}
        return [
            replace(
                choice,
                groups={k: name for k, name in choice.groups.items() if (k, name) not in broken},
            )
            for choice in choices
        ], len(broken)
