"""Classes as vectors, and how well boxes or pictures are told apart by them."""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cloc.errors import UserError
from cloc.eval.encode import same_texts, text_vectors
from cloc.eval.measured import Cases
from cloc.eval.metrics import rank_of_match, similarity
from cloc.interfaces import Embedder

TEXTS = 4096  # prompts whose vectors are held at a time
KS = (1, 5)


def same_classes(
    embedder: Embedder, classes: Mapping[str, Sequence[str]]
) -> tuple[Int[Tensor, " c"], list[Sequence[str]]]:
    """A number for each class, equal where the embedder reads the same prompts, in
    whatever order; and the prompts of each number. A warning names such classes."""
    every = list(classes.values())
    rows, _ = same_texts(embedder, [text for prompts in every for text in prompts])
    members: dict[frozenset[tuple[int, float]], list[str]] = {}
    keys, start = [], 0
    for name, prompts in classes.items():
        own = rows[start : start + len(prompts)]
        start += len(prompts)
        # shares, since the prototype is a mean
        keys.append(frozenset((row, own.count(row) / len(own)) for row in set(own)))
        members.setdefault(keys[-1], []).append(name)
    for names in members.values():
        if len(names) > 1:
            warnings.warn(
                f"the text tower reads the classes {', '.join(names)} alike, "
                "so they are measured as one",
                stacklevel=2,
            )
    number_of = {key: number for number, key in enumerate(members)}
    numbers = torch.tensor([number_of[key] for key in keys])
    return numbers, [classes[names[0]] for names in members.values()]


def class_vectors(
    embedder: Embedder, classes: Mapping[str, Sequence[str]], *, batch_size: int
) -> tuple[Float[Tensor, "n d"], Int[Tensor, " c"]]:
    """In float64 the unit mean of the unit vectors of each class's prompts, and for each of
    `classes` its row in them: classes that the embedder reads alike have one row. A class without
    a prompt is a `UserError`."""
    if silent := [name for name, prompts in classes.items() if not prompts]:
        raise UserError(f"class {silent[0]!r} has no prompt; give it at least one")
    numbers, prompts = same_classes(embedder, classes)
    found: list[Tensor] = []
    for part in _parts(prompts):
        texts = [text for of_class in part for text in of_class]
        vectors, rows = text_vectors(embedder, texts, batch_size=batch_size)
        means = vectors[rows].double().split([len(of_class) for of_class in part])
        found += [own.mean(0) for own in means]
    return F.normalize(torch.stack(found), dim=-1), numbers


def _parts(prompts: Sequence[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Of about `TEXTS` prompts each, at least one class."""
    part: list[Sequence[str]] = []
    for of_class in prompts:
        if part and sum(map(len, part)) + len(of_class) > TEXTS:
            yield part
            part = []
        part.append(of_class)
    yield part


class Answers(NamedTuple):
    """What the classes said of vectors whose class is known; rows of the classes throughout."""

    targets: Int[Tensor, " n"]  # the right class
    ranks: Int[Tensor, " n"]  # how many classes are not clearly below it; 0 is right
    nearest_wrong: Int[Tensor, " n"]  # of the other classes the nearest
    margins: Float[Tensor, " n"]  # the right class's cosine less that one's, float64


def class_answers(
    vectors: Float[Tensor, "n d"],
    classes: Float[Tensor, "c d"],
    targets: Int[Tensor, " n"],
    *,
    chunk: int = 1024,
) -> Answers:
    """Ties count against; at most `chunk` rows of the n x c cosines exist at a time. Of a single
    class the margin is infinite."""
    parts = []
    for start in range(0, len(vectors), chunk):
        target = targets[start : start + chunk]
        scores = similarity(vectors[start : start + chunk], classes)
        match = F.one_hot(target, len(classes)).bool()
        wrong = scores.masked_fill(match, -torch.inf).max(1)
        own = scores.gather(1, target[:, None])[:, 0]
        ranks = rank_of_match(scores, match)
        parts.append(Answers(target, ranks, wrong.indices, own - wrong.values))
    return joined(parts)


def joined(parts: Sequence[Answers]) -> Answers:
    """Of one row of answers each; at least one."""
    return Answers(*(torch.cat(field) for field in zip(*parts, strict=True)))


def confused(
    answers: Answers, names: Sequence[str], *, most: int = 10
) -> list[tuple[str, str, int]]:
    """The pairs of classes that are mixed up most often, `names` being those of the rows: the right
    one, the one that was nearer, and how many times."""
    wrong = answers.ranks > 0
    pairs = zip(answers.targets[wrong].tolist(), answers.nearest_wrong[wrong].tolist(), strict=True)
    counts = sorted(Counter(pairs).items(), key=lambda pair: (-pair[1], pair[0]))
    return [(names[right], names[said], count) for (right, said), count in counts[:most]]


def names_of_rows(rows: Mapping[str, int]) -> list[str]:
    """What to call each row of the classes: the first class that has it."""
    first: dict[int, str] = {}
    for name, row in rows.items():
        first.setdefault(row, name)
    return [first[row] for row in range(len(first))]


def class_cases(
    answers: Answers,
    names: Sequence[str],
    *,
    of_rows: Sequence[str] = (),
    chosen: Bool[Tensor, " n"] | None = None,
    suffix: str = "",
) -> dict[str, Cases]:
    """Of the `chosen` cases (all where None) `top1` and `top5`, the share with the right class
    among the nearest one or five, and `macc` and `macc_top5`, the same per right class and then the
    mean over the classes that occur; each name ends with `suffix`. `names` are the cases', and
    `of_rows` those of the classes, where it is to be told which one a wrong case was taken for."""
    rows = torch.arange(len(answers.ranks)) if chosen is None else chosen.nonzero()[:, 0]
    answers = Answers(*(field[rows] for field in answers))
    own = [names[row] for row in rows.tolist()]
    said = tuple(of_rows[row] for row in answers.nearest_wrong.tolist()) if of_rows else ()
    found: dict[str, Cases] = {}
    for k, mean in zip(KS, ("macc", "macc_top5"), strict=True):
        right = (answers.ranks < k).double()
        found[f"top{k}{suffix}"] = Cases(
            values=right, names=own, margins=answers.margins, nearest_wrong=said
        )
        found[f"{mean}{suffix}"] = Cases(values=right, names=own, classes=answers.targets)
    return found


def class_chance(cases: Mapping[str, Cases], num_classes: int) -> dict[str, float]:
    """What a blind guess gets of each of the figures that `class_cases` names."""
    return {
        name: min(KS[1] if "top5" in name else KS[0], num_classes) / num_classes for name in cases
    }
