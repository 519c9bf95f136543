"""What benchmarks count: means, ranks with ties counted against, recalls with their chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cloc.errors import UserError
from cloc.eval.measured import Figures, Measured, cases_of

# Equal vectors give float32 cosines that differ by about 1e-7, by where they stand in a batch.
TIE = 1e-6
SCORES = 1 << 23  # of a matrix in float64 that exist at a time: 64 MiB


@dataclass(frozen=True, slots=True)
class Count:
    """A mean kept as its sum and its number of cases, so that parts can be added."""

    total: float = 0.0
    cases: int = 0

    @property
    def mean(self) -> float:
        """NaN without a case."""
        return self.total / self.cases if self.cases else math.nan

    def __add__(self, other: "Count") -> "Count":
        return Count(self.total + other.total, self.cases + other.cases)


def count(values: Bool[Tensor, " n"] | Float[Tensor, " n"]) -> Count:
    """The sum of `values`, taken in float64, and how many they are."""
    return Count(values.double().sum().item(), len(values))


def means(counts: Mapping[str, Count]) -> dict[str, float]:
    """Name -> mean; a count without a case is left out: what was not measured has no number."""
    return {name: c.total / c.cases for name, c in counts.items() if c.cases}


def similarity(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Cosines of unit vectors, in float64: out of reach of autocast and of TF32. `UserError` where
    they are of two spaces."""
    require_one_space(a, b)
    return a.double() @ b.double().T


def require_one_space(a: Float[Tensor, "... d"], b: Float[Tensor, "... e"]) -> None:
    """`UserError` where one has another width than the other."""
    if a.shape[-1] != b.shape[-1]:
        raise UserError(
            f"this encoder embeds in {a.shape[-1]} and in {b.shape[-1]} dimensions, so pictures "
            "and texts do not compare; correct its embed_dim or give another text_encoder="
        )


def rank_of_match(scores: Float[Tensor, "n m"], match: Bool[Tensor, "n m"]) -> Int[Tensor, " n"]:
    """How many wrong candidates are not clearly below the best right one of their row; 0 is best.

    Ties (within `TIE`) count against, and so does a score that is not a number. A row without a
    right candidate has the rank m.
    """
    best = scores.masked_fill(~match, -torch.inf).amax(1, keepdim=True)
    below = scores < best - TIE
    return (~below & ~match).sum(1)


def match_ranks(
    queries: Float[Tensor, "n d"],
    candidates: Float[Tensor, "m d"],
    *,
    pairs: Int[Tensor, "k 2"],
) -> Int[Tensor, " n"]:
    """`rank_of_match` of every query; a pair is (row of a query, row of a right candidate).

    Of the n x m scores `SCORES` exist at a time, or a row.
    """
    ranks = []
    chunk = max(SCORES // max(len(candidates), 1), 1)
    for start in range(0, len(queries), chunk):
        scores = similarity(queries[start : start + chunk], candidates)
        inside = pairs[(pairs[:, 0] >= start) & (pairs[:, 0] < start + chunk)]
        match = torch.zeros(scores.shape, dtype=torch.bool)
        match[inside[:, 0] - start, inside[:, 1]] = True
        ranks.append(rank_of_match(scores, match))
    return torch.cat(ranks) if ranks else torch.zeros(0, dtype=torch.long)


def hit_chance(matches: Int[Tensor, " n"], *, candidates: int, k: int) -> Float[Tensor, " n"]:
    """Probability, in float64, that `k` candidates drawn blindly hold at least one of a query's
    `matches`: 1 of 5 is 0.2, for hands are counted as whole numbers."""
    drawn = min(k, candidates)
    hands = math.comb(candidates, drawn)
    values, rows = matches.unique(return_inverse=True)
    hits = [(hands - math.comb(candidates - m, drawn)) / hands for m in values.tolist()]
    return torch.tensor(hits, dtype=torch.float64)[rows]


def recalls(
    queries: Float[Tensor, "n d"],
    candidates: Float[Tensor, "m d"],
    *,
    pairs: Int[Tensor, "k 2"],
    name: str,
    ks: tuple[int, ...],
    names: Sequence[str],
) -> Measured:
    """`{name}_r@{k}` in [0, 1] over the queries, and its `_chance`; empty where there is no query.

    A query is a hit where any of its right candidates (see `match_ranks`) is among its top k. A
    pair may be given once only: repeating it would raise the chance line. `names` are the queries'.
    """
    ranks = match_ranks(queries, candidates, pairs=pairs)
    matches = torch.bincount(pairs[:, 0], minlength=len(queries))
    cases, chance = {}, {}
    for k in ks:
        cases[f"{name}_r@{k}"] = cases_of(ranks < k, names)
        blind = hit_chance(matches, candidates=len(candidates), k=k)
        chance[f"{name}_r@{k}"] = count(blind).mean
    return Measured(Figures(cases=cases, chance=chance))
