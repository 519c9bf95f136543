"""What was read and what was left out, counted by reason and source; the budget that ends a run."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cloc.errors import UserError

BUDGET = 0.01  # of the samples of the epochs begun, of their boxes and of their captions
MAX_IN_ROW = 100  # dropped samples, and of more shards than `most_shards`, are no accident
MOST_SHARDS = 8  # at least
CHANCE = 1e-8  # that shards which are bad by themselves, as many as a budget allows, are neighbours
MAX_KINDS = 200  # counters: a source's name comes from the data
OTHERS = "(others)"  # the source of all further ones


class Dropped(NamedTuple):
    """Something that training goes on without."""

    what: str  # "samples", "boxes", "captions", "details" of a box, or the "ends" of long texts
    reason: str
    source: str  # who annotated it; "" where nobody is named
    message: str  # one line: where, what was given, the cure


class Seen(NamedTuple):
    """What one batch is made of."""

    # one per row: False where the sample was dropped, None where it is skipped; then it is blank
    whole: Sequence[bool | None]
    boxes: int  # annotated in its samples, dropped ones included
    dropped: tuple[Dropped, ...]
    shards: tuple[str, ...] = ()  # those of the dropped samples, in order
    captions: int = 0  # as `boxes`
    skipped: tuple[str, ...] = ()  # entries of the list of keys that took samples out
    sources: tuple[str, ...] = ()  # those that had a row
    useful: tuple[str, ...] = ()  # of these, those of which one had a caption or a region


class Tally:
    """Counts of the batches that one rank has consumed, of shards that hold `planned` samples.

    `add` raises `UserError` above the budget: dropped samples may be `budget` of those of the
    epochs that have begun, dropped boxes and captions the same share of those expected there.
    Whatever the budget, more than `MAX_IN_ROW` samples in a row that were dropped of many shards
    end a run too: then it is not the shards, while a single bad one is within the budget or above
    it. The message is that of the last one dropped. What is skipped on purpose is no drop.
    """

    def __init__(self, *, planned: int, ranks: int = 1, budget: float = BUDGET) -> None:
        self.planned, self.ranks, self.budget = planned, ranks, budget
        self.samples, self.boxes, self.captions, self.skipped = 0, 0, 0, 0
        self.in_row, self.row_shards = 0, set[str]()  # dropped samples, and the shards they are of
        self.met: set[str] = set()  # entries of the list of keys
        self.sources, self.useful = set[str](), set[str]()  # as in `Seen`
        self.counts: Counter[tuple[str, str, str]] = Counter()  # (what, reason, source)
        self.examples: dict[tuple[str, str, str], str] = {}  # the first message of each
        self.last: dict[str, str] = {}  # what -> the last message

    def add(self, seen: Seen) -> None:
        """Counts one batch and checks the budget."""
        self.samples += len(seen.whole)
        self.boxes += seen.boxes
        self.captions += seen.captions
        self.skipped += sum(whole is None for whole in seen.whole)
        self.met.update(seen.skipped)
        self.sources.update(seen.sources)
        self.useful.update(seen.useful)
        for dropped in seen.dropped:
            key = dropped[:3]
            if key not in self.counts and len(self.counts) >= MAX_KINDS:
                key = (dropped.what, dropped.reason, OTHERS)
            self.counts[key] += 1
            self.examples.setdefault(key, dropped.message)
            self.last[dropped.what] = dropped.message
        self._add_rows(seen)
        self.check()

    def _add_rows(self, seen: Seen) -> None:
        shards, enough = iter(seen.shards), most_shards(self.budget)
        for whole in seen.whole:
            if whole:
                self.in_row = 0
                self.row_shards.clear()
            elif whole is False:
                self.in_row += 1
                shard = next(shards, "")
                if len(self.row_shards) <= enough:
                    self.row_shards.add(shard)
                self._check_row()

    def _check_row(self) -> None:
        if self.in_row > MAX_IN_ROW and len(self.row_shards) > most_shards(self.budget):
            raise UserError(
                f"{self.last['samples']} ({self.in_row} samples in a row were dropped, of "
                f"{len(self.row_shards)} shards)"
            )

    def dropped(self, what: str) -> int:
        """How many "samples", "boxes", .. were left out."""
        return sum(count for (kind, *_), count in self.counts.items() if kind == what)

    def check(self) -> None:
        """`UserError` above the budget."""
        epochs = -(-self.samples * self.ranks // self.planned)
        expected = self.planned * epochs
        for what, total in (
            ("samples", expected),
            ("boxes", expected * self.boxes / max(self.samples, 1)),
            ("captions", expected * self.captions / max(self.samples, 1)),
        ):
            if self.dropped(what) > self.budget * total:
                raise UserError(
                    f"{self.last[what]} ({self.dropped(what)} of {round(total)} {what} were "
                    f"dropped, data.drop_budget={self.budget:g} allows {int(self.budget * total)})"
                )

    def joined(self, others: Iterable["Tally"]) -> "Tally":
        """One tally of all ranks from the ranks' own. Its samples in a row are those of all ranks
        where each of them read nothing else last."""
        tallies = (self, *others)
        whole = Tally(planned=self.planned, budget=self.budget)
        for tally in tallies:
            whole.load_state_dict(tally.state_dict())
            whole.last |= tally.last
            whole.met |= tally.met
            whole.sources |= tally.sources
            whole.useful |= tally.useful
            whole.row_shards |= tally.row_shards
        if all(tally.in_row for tally in tallies):
            whole.in_row = sum(tally.in_row for tally in tallies)
            whole._check_row()
        return whole

    def state_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        counts = {"samples": self.samples, "boxes": self.boxes, "captions": self.captions}
        return {**counts, "skipped": self.skipped, "dropped": self.rows()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """What `state_dict` gave, added to what is here."""
        self.samples += state["samples"]
        self.boxes += state["boxes"]
        self.captions += state.get("captions", state["samples"])  # of older runs: one each
        self.skipped += state.get("skipped", 0)
        for row in state["dropped"]:
            key = (row["what"], row["reason"], row["source"])
            self.counts[key] += row["count"]
            self.examples.setdefault(key, row["first"])
            self.last.setdefault(row["what"], row["first"])

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary for each (what, reason, source), the most frequent first."""
        return [
            {"what": key[0], "reason": key[1], "source": key[2], "count": n, "first": first}
            for key, n in self.counts.most_common()
            for first in (self.examples[key],)
        ]


def most_shards(budget: float) -> float:
    """How many shards may be bad one after the other: beyond, that their neighbourhood is chance
    has a probability of `CHANCE`. No number is too large where everything may be bad."""
    if budget >= 1:
        return math.inf
    by_chance = math.log(CHANCE) / math.log(budget) if budget > 0 else 0.0
    return max(float(MOST_SHARDS), by_chance)
