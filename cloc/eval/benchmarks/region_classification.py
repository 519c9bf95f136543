"""Which class, and which phrase of its own image, does a box show?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from cloc.errors import UserError
from cloc.eval.classes import class_answers, confused, names_of_rows, same_classes
from cloc.eval.encode import region_vectors, text_vectors
from cloc.eval.measured import Figures, Measured, cases_of, nothing
from cloc.eval.metrics import Count, count, rank_of_match, similarity
from cloc.eval.pictures import case_names
from cloc.interfaces import Embedder, Split


@dataclass(frozen=True, kw_only=True)
class RegionClassification:
    """Values in [0, 1]; ties count as wrong; a metric without a case is left out. Texts that the
    embedder reads alike are one, and so are classes of such prompts; a warning names these.

    top1: share of all labelled boxes whose class is nearest. class_mean: the same per class, then
    the mean over the classes that occur. top1_synonyms, class_mean_synonyms: the same where a class
    is the mean of all that it is called, in splits that name synonyms. within_image: share of boxes
    whose own phrase is the nearest of the unique phrases of their image; images with a single
    phrase are left out.
    """

    uses_regions: ClassVar[bool] = True
    batch_size: int = 64

    def run(self, embedder: Embedder, split: Split) -> Measured:
        vectors: list[Tensor] = []
        phrases: list[tuple[str, ...]] = []
        labels: list[str] = []
        names: list[str] = []
        for example, regions in region_vectors(
            embedder, split.examples, batch_size=self.batch_size
        ):
            vectors.append(regions)
            phrases.append(example.phrases)
            labels += example.labels
            names += case_names(example)
        if not vectors:
            return nothing()
        among_classes = self._among_classes(embedder, split, torch.cat(vectors), labels, names)
        return among_classes | self._within_image(embedder, vectors, phrases, names)

    def _among_classes(
        self,
        embedder: Embedder,
        split: Split,
        vectors: Float[Tensor, "n d"],
        labels: list[str],
        names: list[str],
    ) -> Measured:
        labelled = [row for row, label in enumerate(labels) if label]
        if not split.classes or not labelled:
            return nothing()
        target = _targets(split, [labels[row] for row in labelled])
        own = [names[row] for row in labelled]
        found = self._nearest(embedder, vectors[labelled], target, split.classes, "", own)
        if split.synonyms:
            called = {**split.classes, **split.synonyms}
            found |= self._nearest(embedder, vectors[labelled], target, called, "_synonyms", own)
        return found

    def _nearest(
        self,
        embedder: Embedder,
        vectors: Float[Tensor, "n d"],
        target: Int[Tensor, " n"],
        classes: Mapping[str, Sequence[str]],
        protocol: str,
        names: Sequence[str],
    ) -> Measured:
        same, prompts = same_classes(embedder, classes)
        of_rows = names_of_rows(dict(zip(classes, same.tolist(), strict=True)))
        answers = class_answers(vectors, self._prototypes(embedder, prompts), same[target])
        plain = cases_of(answers.ranks == 0, names)
        said = [of_rows[row] for row in answers.nearest_wrong.tolist()]
        cases = {
            f"top1{protocol}": replace(plain, margins=answers.margins, nearest_wrong=said),
            f"class_mean{protocol}": replace(plain, classes=answers.targets),
        }
        chance = dict.fromkeys(cases, 1 / len(prompts))
        about = {f"confused{protocol}": confused(answers, of_rows)}
        return Measured(Figures(cases=cases, chance=chance, about=about))

    def _prototypes(
        self, embedder: Embedder, prompts: Sequence[Sequence[str]]
    ) -> Float[Tensor, "c d"]:
        """The normalised mean of the embeddings of each class's prompts."""
        texts = [text for of_class in prompts for text in of_class]
        vectors, rows = text_vectors(embedder, texts, batch_size=self.batch_size)
        parts = vectors[rows].split([len(of_class) for of_class in prompts])
        return F.normalize(torch.stack([part.mean(0) for part in parts]), dim=-1)

    def _within_image(
        self,
        embedder: Embedder,
        vectors: Sequence[Float[Tensor, "_ d"]],
        phrases: Sequence[Sequence[str]],
        names: Sequence[str],
    ) -> Measured:
        texts = [phrase for of_image in phrases for phrase in of_image]
        words, rows = text_vectors(embedder, texts, batch_size=self.batch_size)
        right: list[Tensor] = []
        asked: list[str] = []
        chance, start = Count(), 0
        for regions, own in zip(vectors, rows.split([len(x) for x in phrases]), strict=True):
            options, start = own.unique(), start + len(own)
            if len(options) > 1:
                scores = similarity(regions, words[options])
                right.append(rank_of_match(scores, own[:, None] == options) == 0)
                asked += names[start - len(own) : start]
                chance += count(torch.full((len(own),), 1 / len(options), dtype=torch.float64))
        cases = {"within_image": cases_of(torch.cat([torch.zeros(0), *right]), asked)}
        return Measured(Figures(cases=cases, chance={"within_image": chance.mean}))


def _targets(split: Split, labels: Sequence[str]) -> Int[Tensor, " n"]:
    """The row of each label among the classes of the split."""
    class_of = {name: row for row, name in enumerate(split.classes)}
    if unknown := set(labels) - set(class_of):
        raise UserError(
            f"split {split.name!r}: label {min(unknown)!r} of a box is not among its "
            f"{len(class_of)} classes; add it to the split's classes or leave the label empty"
        )
    if silent := [name for name, prompts in split.classes.items() if not prompts]:
        raise UserError(
            f"split {split.name!r}: class {silent[0]!r} has no prompt; give it at least one"
        )
    return torch.tensor([class_of[label] for label in labels])
