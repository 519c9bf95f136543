"""Several sources in one stream, by weights that may change with the step: a pure function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cloc.data.samples.training_view import View
from cloc.data.shards.reader import Parse
from cloc.data.stream.order import Order
from cloc.errors import UserError

PERIOD = 10_000  # places over which weights hold exactly; they are rounded to shares of it


@dataclass(frozen=True, slots=True)
class Source:
    """A named set of shards and how it is read; `weight` is its share of all samples, in [0, 1].

    A mapping {step: weight} changes the share from these steps on (a curriculum); it begins at 0.
    """

    shards: str | Sequence[str]  # a folder, a glob, a list file or a list of them
    parse: Parse
    view: View = field(default_factory=View)
    weight: float | Mapping[int, float] = 1.0


class Mixed(NamedTuple):
    """Where some samples lie; row i of all four is one of them."""

    source: np.ndarray  # int64 [n], its number
    epoch: np.ndarray  # int64 [n], of this source
    shard: np.ndarray
    sample: np.ndarray


class _Stage(NamedTuple):
    """A stretch of the run with constant weights."""

    first: int  # place
    used: np.ndarray  # int64 [sources], samples of each source before it
    pattern: np.ndarray  # int64 [PERIOD], the source of each place of a period
    nth: np.ndarray  # int64 [PERIOD], which of its source's places in the period it is
    quotas: np.ndarray  # int64 [sources], places of each source in a period


class Mixture:
    """The source and the sample of every place of a run; each source goes through its own epochs.

    Sources are spread evenly, not drawn: of any places in a row that share their weights, a source
    has its weight's part, give or take three and the rounding of weights to 1 / `PERIOD`.
    """

    def __init__(
        self, weights: Mapping[str, float | Mapping[int, float]], *, batch_size: int
    ) -> None:
        """`weights` as in `Source`, by name; `batch_size` images make a step.

        Shares that do not sum to 1 raise `UserError`.
        """
        if not weights:
            raise UserError("data.sources is empty; name at least one source")
        tables = {name: _table(name, weight) for name, weight in weights.items()}
        self.highest = {name: max(table.values()) for name, table in tables.items()}
        self.stages: list[_Stage] = []
        used = np.zeros(len(weights), np.int64)
        for step in sorted({step for table in tables.values() for step in table}):
            first = step * batch_size
            if self.stages:
                used = self.stages[-1].used + _used(self.stages[-1], first)
            shares = {name: _at(table, step) for name, table in tables.items()}
            self.stages.append(_stage(first, used, _quotas(shares, step)))

    def __call__(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For places of the run: the sources' numbers, and the places in their own streams."""
        source, place = np.empty_like(places), np.empty_like(places)
        firsts = [stage.first for stage in self.stages]
        which = np.searchsorted(firsts, places, side="right") - 1
        for number in np.unique(which):
            rows, stage = which == number, self.stages[number]
            period, at = np.divmod(places[rows] - stage.first, PERIOD)
            found = stage.pattern[at]
            source[rows] = found
            place[rows] = stage.used[found] + period * stage.quotas[found] + stage.nth[at]
        return source, place


def locate(mixture: Mixture, orders: Sequence[Order], places: np.ndarray) -> Mixed:
    """The samples at `places` of a run that mixes the streams `orders`."""
    source, within = mixture(places)
    rest = [np.empty_like(places) for _ in range(3)]
    for number in np.unique(source):
        rows = source == number
        for part, values in zip(rest, orders[number](within[rows]), strict=True):
            part[rows] = values
    return Mixed(source, *rest)


def _table(name: str, weight: float | Mapping[int, float]) -> dict[int, float]:
    """Step -> weight, checked."""
    table = dict(weight) if isinstance(weight, Mapping) else {0: weight}
    key = f"data.sources.{name}.weight"
    if 0 not in table or any(not isinstance(s, int) or s < 0 for s in table):
        raise UserError(f"{key} is {weight}; its steps must be whole numbers and begin at 0")
    if any(not 0 <= value <= 1 for value in table.values()):
        raise UserError(f"{key} is {weight}, expected shares in [0, 1]")
    return table


def _at(table: Mapping[int, float], step: int) -> float:
    return table[max(s for s in table if s <= step)]


def _quotas(shares: Mapping[str, float], step: int) -> np.ndarray:
    """Whole numbers of places of a period; the largest remainders are rounded up."""
    total = sum(shares.values())
    if abs(total - 1) > 1e-6:
        raise UserError(
            f"the weights of data.sources are {dict(shares)} from step {step} on and sum to "
            f"{total:g}; give every source a weight so that they sum to 1"
        )
    exact = np.array(list(shares.values())) * PERIOD
    quotas = np.floor(exact).astype(np.int64)
    quotas[np.argsort(quotas - exact, kind="stable")[: PERIOD - quotas.sum()]] += 1
    return quotas


def _stage(first: int, used: np.ndarray, quotas: np.ndarray) -> _Stage:
    """Each source's places stand at equal distances, as far as they do not collide."""
    number = np.repeat(np.arange(len(quotas)), quotas)
    nth = np.concatenate([np.arange(quota) for quota in quotas])
    wanted = (nth + 0.5) / quotas[number]
    order = np.argsort(wanted, kind="stable")
    return _Stage(first, used, number[order], nth[order], quotas)


def _used(stage: _Stage, until: int) -> np.ndarray:
    """Samples of each source in a stage up to a place."""
    periods, rest = divmod(until - stage.first, PERIOD)
    partial = np.bincount(stage.pattern[:rest], minlength=len(stage.quotas))
    return periods * stage.quotas + partial
