"""Multiple choice: which of some captions is true of a picture, by the cosine alone.

One record for every such suite, and one measure with the traps of the published scripts closed: the
options are shuffled before they are encoded, and a tie is wrong (argmax over equal scores gives the
first option, which in most suites is the right one).
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cloc.eval.encode import text_vectors
from cloc.eval.measured import Cases, Figures, Measured
from cloc.eval.metrics import TIE, require_one_space
from cloc.eval.suite_pictures import Picture, View, picture_vectors
from cloc.interfaces import Embedder

CONTROLS: tuple[View, ...] = ("blind", "permuted")
CHUNK = 1024  # choices scored at a time
SIDES = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A picture and at least two captions of which `gold` is true."""

    name: str  # of the case, the same whatever the encoder is
    picture: Picture
    options: Sequence[str]
    gold: int
    tags: Mapping[str, str] = field(default_factory=dict)  # kind -> value: relation, category
    groups: Mapping[str, str] = field(default_factory=dict)  # kind -> of which group: pair, set
    mirrored: int | None = None  # the option that is true of the mirrored picture, where known


def mirrored_option(options: Sequence[str], gold: int) -> int | None:
    """The option that says of the mirrored picture what `gold` says of the picture: the same words
    with left and right swapped; None where no option does."""
    turned = re.sub(r"\b([Ll]eft|[Rr]ight)\b", lambda side: SIDES[side[0]], options[gold])
    return list(options).index(turned) if turned != options[gold] and turned in options else None


def unique_names(names: Sequence[str]) -> list[str]:
    """Those that stand twice counted on: a case is compared with itself."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}~{seen[name]}")
    return found


def measure_choices(
    embedder: Embedder,
    choices: Sequence[Choice],
    *,
    batch_size: int,
    seed: int = 0,
    grid: int = 8,
    each: Sequence[str] = (),
    about: Mapping[str, Any] = MappingProxyType({}),
) -> Measured:
    """Values in [0, 1]; a choice is right where its gold's cosine is above every other by more than
    `TIE`: a tie is wrong, and so are options read alike (`about["read_alike"]` counts these).

    accuracy: share of right choices. macro_KIND: mean over the values of a tag of their accuracy.
    accuracy_VALUE: of the values of the tags in `each`. For a kind of group its own name (pair,
    set): share of groups with every member right. accuracy_left_right: of choices whose answer the
    mirrored picture changes.

    Beside each: METRIC_chance of guessing, 1 of n options, for a group the product; METRIC_blind on
    a grey square; METRIC_permuted with the patches shuffled. accuracy_left_right_mirrored: mirrored
    pictures by their old answers, 0 for a model that sees sides; .._mirrored_turned by the new.
    """
    scorer = _Scorer(embedder, choices, batch_size=batch_size, seed=seed, grid=grid)
    names = unique_names([choice.name for choice in choices])
    found = _cases(choices, names, scorer.right("original").double(), each)
    controls = {
        f"{metric}_{view}": cases.mean()
        for view in CONTROLS
        for metric, cases in _cases(choices, names, scorer.right(view).double(), each).items()
    }
    chance = torch.tensor([1 / len(choice.options) for choice in choices], dtype=torch.float64)
    guessed = _cases(choices, names, chance, each, of_group=math.prod)
    figures = Figures(
        cases=found,
        chance={metric: cases.mean() for metric, cases in guessed.items()},
        controls=controls | scorer.mirrored(),
        about={**scorer.about(), **about},
    )
    return Measured(figures)


def _cases(
    choices: Sequence[Choice],
    names: Sequence[str],
    values: Float[Tensor, " n"],
    each: Sequence[str],
    of_group: Any = min,
) -> dict[str, Cases]:
    """The cases of every metric, of one value for each choice; a group's is `of_group` of its
    members': the least where all must be right."""
    found = {"accuracy": Cases(values=values, names=names)}

    def part(rows: Sequence[int], classes: Int[Tensor, " m"] | None = None) -> Cases:
        return Cases(values=values[rows], names=[names[i] for i in rows], classes=classes)

    for kind in sorted({kind for choice in choices for kind in choice.tags}):
        rows = [i for i, choice in enumerate(choices) if kind in choice.tags]
        values_of = sorted({choices[i].tags[kind] for i in rows})
        numbers = {value: number for number, value in enumerate(values_of)}
        classes = torch.tensor([numbers[choices[i].tags[kind]] for i in rows])
        found[f"macro_{kind}"] = part(rows, classes)
        if kind in each:
            for value in values_of:
                key = f"accuracy_{value.replace(' ', '_')}"
                found[key] = part([i for i in rows if choices[i].tags[kind] == value])
    for kind in sorted({kind for choice in choices for kind in choice.groups}):
        members: dict[str, list[float]] = {}
        for choice, value in zip(choices, values.tolist(), strict=True):
            if kind in choice.groups:
                members.setdefault(choice.groups[kind], []).append(value)
        whole = torch.tensor([of_group(own) for own in members.values()], dtype=torch.float64)
        found[kind] = Cases(values=whole, names=list(members))
    if sided := [i for i, choice in enumerate(choices) if choice.mirrored is not None]:
        found["accuracy_left_right"] = part(sided)
    return found


class _Scorer:
    """Captions encoded once, pictures once a view."""

    def __init__(
        self,
        embedder: Embedder,
        choices: Sequence[Choice],
        *,
        batch_size: int,
        seed: int,
        grid: int,
    ) -> None:
        self.embedder, self.choices = embedder, choices
        self.batch_size, self.seed, self.grid = batch_size, seed, grid
        self.gold = torch.tensor([choice.gold for choice in choices])
        rng = np.random.default_rng(seed)
        orders = [rng.permutation(len(choice.options)).tolist() for choice in choices]
        texts = [
            choice.options[i] for choice, own in zip(choices, orders, strict=True) for i in own
        ]
        self.words, rows = text_vectors(embedder, texts, batch_size=batch_size)
        most = max(len(choice.options) for choice in choices)
        self.rows = torch.full((len(choices), most), -1)  # of each option, in the suite's own order
        for i, (own, found) in enumerate(
            zip(orders, rows.split([len(own) for own in orders]), strict=True)
        ):
            self.rows[i, own] = found

    def right(self, view: View) -> Bool[Tensor, " n"]:
        """Whether the gold of each choice has the highest cosine, clearly."""
        return self._best(self._pictures(range(len(self.choices)), view), self.rows, self.gold)

    def mirrored(self) -> dict[str, float]:
        """The two controls of choices about left and right; none where there are none."""
        sided = [i for i, choice in enumerate(self.choices) if choice.mirrored is not None]
        if not sided:
            return {}
        pictures = self._pictures(sided, "mirrored")
        answers = {
            "": torch.tensor([self.choices[i].gold for i in sided]),
            "_turned": torch.tensor([self.choices[i].mirrored for i in sided]),
        }
        return {
            f"accuracy_left_right_mirrored{name}": float(
                self._best(pictures, self.rows[sided], answer).double().mean()
            )
            for name, answer in answers.items()
        }

    def about(self) -> dict[str, Any]:
        """What a reader of the figures must know."""
        own = self.rows.gather(1, self.gold[:, None])
        return {
            "choices": len(self.choices),
            "pictures": len({choice.picture.key for choice in self.choices}),
            "options": f"shuffled before encoding, seed {self.seed}",
            "ties": f"wrong, within {TIE}",
            "read_alike": int(((self.rows == own).sum(1) > 1).sum()),
            "permuted": f"{self.grid} x {self.grid} patches",
            "framing": "the embedder's own; no centre crop is added",
        }

    def _pictures(self, rows: Sequence[int], view: View) -> Float[Tensor, "n d"]:
        pictures = [self.choices[i].picture for i in rows]
        given = {"batch_size": self.batch_size, "seed": self.seed, "grid": self.grid}
        return picture_vectors(self.embedder, pictures, view=view, **given)

    def _best(
        self, pictures: Float[Tensor, "n d"], rows: Int[Tensor, "n k"], gold: Int[Tensor, " n"]
    ) -> Bool[Tensor, " n"]:
        require_one_space(self.words, pictures)
        found = []
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            own = self.words[rows[part].clamp(min=0)].double()
            scores = torch.einsum("nkd,nd->nk", own, pictures[part].double())
            best = scores.gather(1, gold[part, None])
            others = torch.ones_like(scores, dtype=torch.bool).scatter(1, gold[part, None], False)
            below = (scores < best - TIE) | (rows[part] < 0)  # a score that is no number is not
            found.append((below | ~others).all(1))
        return torch.cat(found)
