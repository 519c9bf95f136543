"""VSR: is a caption about two things in a photograph true?

Liu, Emerson and Collier, "Visual Spatial Reasoning", TACL 2023.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from cloc.errors import UserError
from cloc.eval.choices import Choice, measure_choices, mirrored_option, unique_names
from cloc.eval.encode import text_vectors
from cloc.eval.measured import Cases, Figures, Measured
from cloc.eval.metrics import TIE
from cloc.eval.partial import spread
from cloc.eval.suite_files import read_json_lines, text_of, whole_number_of
from cloc.eval.suite_pictures import Picture, View, file_pictures, picture_vectors
from cloc.interfaces import Embedder, Split

T = TypeVar("T")
SPLITS = ("random", "zeroshot")
RELEASES = {  # by the lines of the test file
    2195: "the random split of the paper",
    616: "the zero-shot split as the README counts it",
    1222: "the zero-shot split of 1,222 lines that the repository has held",
}
_PAIRS = (  # relations of which at most one holds: left and right, not on and beside
    ("left of", "right of"),
    ("at the left side of", "at the right side of"),
    ("above", "below"),
    ("over", "under"),
    ("in front of", "behind"),
    ("inside", "outside"),
    ("near", "far from"),
    ("close to", "far away from"),
    ("facing", "facing away from"),
)
OPPOSITE = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
VIEWS: tuple[View, ...] = ("original", "permuted", "blind")


class Statement(NamedTuple):
    """A caption, whether it is true of the picture, and its spatial relation."""

    name: str
    picture: Picture
    caption: str
    label: bool
    relation: str


@dataclass(frozen=True, kw_only=True)
class Vsr:
    """A dual encoder takes a caption for true where its cosine is above a threshold, which is the
    one that is right most often on the dev file; the test file has no part in it.

    `root` holds splits/SPLIT/dev.jsonl and test.jsonl and the pictures in images, as the published
    data folder does. accuracy: share of statements of the test file; macro_relation: mean over its
    relations. A cosine within `TIE` of the threshold is wrong. Controls fit a threshold of their
    own to what they see; accuracy_constant is the answer that is commoner in dev, for all.

    flipped_accuracy is ours: for each caption of the test file that is true and whose relation has
    an opposite in `OPPOSITE`, it against the same words with the opposite; no threshold, guessing
    gets 1/2, a tie is wrong.
    """

    uses_regions: ClassVar[bool] = False
    own_data: ClassVar[bool] = True
    root: str
    split: str  # random or zeroshot
    batch_size: int = 64
    limit: int | None = None  # statements of each file
    seed: int = 0

    def statements(self, part: Literal["dev", "test"]) -> list[Statement]:
        """Of one file, in its order; `UserError` for what is not as expected."""
        if self.split not in SPLITS:
            raise UserError(f"split is {self.split!r}; set split to random or zeroshot")
        root = Path(self.root)
        place = root / "splits" / self.split / f"{part}.jsonl"
        rows = [(row, f"{place}: entry {i}") for i, row in enumerate(read_json_lines(place))]
        paths = [root / "images" / text_of(row, "image", where) for row, where in rows]
        found = []
        for (row, where), picture in zip(rows, file_pictures(paths, root=root), strict=True):
            label = whole_number_of(row, "label", where)
            if label not in (0, 1):
                raise UserError(f"{where}: label is {label}; it must be 0 (false) or 1 (true)")
            caption, relation = (text_of(row, field, where) for field in ("caption", "relation"))
            name = f"{picture.key} {caption}"
            found.append(Statement(name, picture, caption, label == 1, relation))
        return found

    def run(self, embedder: Embedder, split: Split) -> Measured:
        dev = spread(self.statements("dev"), self.limit)
        test = spread(self.statements("test"), self.limit)
        truth = _labels(dev), _labels(test)
        cosines = {view: self._cosines(embedder, [*dev, *test], view) for view in VIEWS}
        found = {}
        thresholds = {}
        for view, both in cosines.items():
            thresholds[view] = best_threshold(both[: len(dev)], truth[0])
            found[view] = _right(both[len(dev) :], truth[1], thresholds[view])
        cases = _cases(test, found["original"])
        controls = {
            f"{metric}_{view}": value.mean()
            for view in VIEWS[1:]
            for metric, value in _cases(test, found[view]).items()
        }
        commoner = truth[0].mean() > 0.5
        controls["accuracy_constant"] = float((truth[1] == float(commoner)).double().mean())
        about = {
            "protocol": f"VSR {self.split}: cosine above a threshold that is fitted to dev alone",
            "test_cases": len(test),
            "test_file": RELEASES.get(len(test), "of no release that we know"),
            "dev_cases": len(dev),
            "threshold": thresholds["original"],
        }
        chance = dict.fromkeys(cases, 0.5)
        figures = Figures(cases=cases, chance=chance, controls=controls, about=about)
        return self._with_flipped(embedder, test, figures)

    def _cosines(
        self, embedder: Embedder, statements: Sequence[Statement], view: View
    ) -> Float[Tensor, " n"]:
        pictures = picture_vectors(
            embedder,
            [statement.picture for statement in statements],
            view=view,
            batch_size=self.batch_size,
            seed=self.seed,
        )
        captions = [statement.caption for statement in statements]
        words, rows = text_vectors(embedder, captions, batch_size=self.batch_size)
        return (pictures.double() * words[rows].double()).sum(-1)

    def _with_flipped(
        self, embedder: Embedder, test: Sequence[Statement], found: Figures
    ) -> Measured:
        choices = flipped(test)
        if not choices:
            return Measured(found)
        inner = measure_choices(
            embedder, choices, batch_size=self.batch_size, seed=self.seed
        ).figures

        return Measured(
            Figures(
                cases={**found.cases, **_named(inner.cases)},
                chance={**found.chance, **_named(inner.chance)},
                controls={**found.controls, **_named(inner.controls)},
                about={**found.about, "flipped": inner.about},
            )
        )


def flipped(statements: Sequence[Statement]) -> list[Choice]:
    """True captions that hold a relation of `OPPOSITE` once, each with its opposite."""
    found = []
    for statement in (s for s in statements if s.label and s.relation in OPPOSITE):
        caption, whole = statement.caption, rf"\b{re.escape(statement.relation)}\b"
        if len(re.findall(whole, caption)) == 1:
            options = (caption, re.sub(whole, OPPOSITE[statement.relation], caption))
            found.append(
                Choice(
                    name=statement.name,
                    picture=statement.picture,
                    options=options,
                    gold=0,
                    tags={"relation": statement.relation},
                    mirrored=mirrored_option(options, 0),
                )
            )
    return found


def best_threshold(cosines: Float[Tensor, " n"], labels: Float[Tensor, " n"]) -> float:
    """Above which to say 1 (below it 0) so as to be right most often; infinite where the same
    answer for all is. Between two cosines half way; of equally good ones the middle one."""
    values, order = cosines.double().sort()
    edges = (values.diff() > 2 * TIE).nonzero().flatten()
    infinite = values.new_tensor([torch.inf])
    candidates = torch.cat([-infinite, (values[edges] + values[edges + 1]) / 2, infinite])
    below = torch.cat([edges.new_zeros(1), edges + 1, edges.new_tensor([len(values)])])
    ones = torch.cat([values.new_zeros(1), labels[order].double().cumsum(0)])
    right = (below - ones[below]) + (ones[-1] - ones[below])
    best = (right == right.max()).nonzero().flatten()
    return float(candidates[best[len(best) // 2]])


def _right(
    cosines: Float[Tensor, " n"], labels: Float[Tensor, " n"], threshold: float
) -> Float[Tensor, " n"]:
    said_true, said_false = cosines > threshold + TIE, cosines < threshold - TIE
    return torch.where(labels > 0, said_true, said_false).double()


def _labels(statements: Sequence[Statement]) -> Float[Tensor, " n"]:
    return torch.tensor([float(statement.label) for statement in statements])


def _cases(statements: Sequence[Statement], values: Float[Tensor, " n"]) -> dict[str, Cases]:
    names = unique_names([statement.name for statement in statements])
    relations = sorted({statement.relation for statement in statements})
    classes = torch.tensor([relations.index(statement.relation) for statement in statements])
    return {
        "accuracy": Cases(values=values, names=names),
        "macro_relation": Cases(values=values, names=names, classes=classes),
    }


def _named(values: Mapping[str, T]) -> dict[str, T]:
    return {f"flipped_{name}": value for name, value in values.items()}
