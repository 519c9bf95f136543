"""What was read and what was left out, counted by reason and source; the budget that ends a run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cloc.errors import UserError

BUDGET = 0.01  # of the samples of the epochs begun, and of their boxes
MAX_IN_ROW = 100  # dropped samples; more than this is no accident
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

    whole: Sequence[bool]  # one per row; False where the sample was dropped and the row is blank
    boxes: int  # annotated in its samples, dropped ones included
    dropped: tuple[Dropped, ...]


class Tally:
    """Counts of the batches that one rank has consumed, of shards that hold `planned` samples.

    `add` raises `UserError` above the budget: dropped samples may be `budget` of those of the
    epochs that have begun, dropped boxes the same share of the boxes expected there, and at most
    `MAX_IN_ROW` samples may be dropped in a row. The message is that of the last one dropped.
    """

    def __init__(self, *, planned: int, ranks: int = 1, budget: float = BUDGET) -> None:
        self.planned, self.ranks, self.budget = planned, ranks, budget
        self.samples, self.boxes, self.in_row = 0, 0, 0
        self.counts: Counter[tuple[str, str, str]] = Counter()  # (what, reason, source)
        self.examples: dict[tuple[str, str, str], str] = {}  # the first message of each
        self.last = ""

    def add(self, seen: Seen) -> None:
        """Counts one batch and checks the budget."""
        self.samples += len(seen.whole)
        self.boxes += seen.boxes
        for dropped in seen.dropped:
            key = dropped[:3]
            if key not in self.counts and len(self.counts) >= MAX_KINDS:
                key = (dropped.what, dropped.reason, OTHERS)
            self.counts[key] += 1
            self.examples.setdefault(key, dropped.message)
            self.last = dropped.message
        for whole in seen.whole:
            self.in_row = 0 if whole else self.in_row + 1
            if self.in_row > MAX_IN_ROW:
                raise UserError(f"{self.last} ({self.in_row} samples in a row were dropped)")
        self.check()

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
        ):
            if self.dropped(what) > self.budget * total:
                raise UserError(
                    f"{self.last} ({self.dropped(what)} of {round(total)} {what} were dropped, "
                    f"data.drop_budget={self.budget:g} allows {int(self.budget * total)})"
                )

    def joined(self, others: Iterable["Tally"]) -> "Tally":
        """One tally of all ranks from the ranks' own."""
        whole = Tally(planned=self.planned, budget=self.budget)
        for tally in (self, *others):
            whole.load_state_dict(tally.state_dict())
            whole.last = tally.last or whole.last
        return whole

    def state_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return {"samples": self.samples, "boxes": self.boxes, "dropped": self.rows()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """What `state_dict` gave, added to what is here."""
        self.samples += state["samples"]
        self.boxes += state["boxes"]
        for row in state["dropped"]:
            key = (row["what"], row["reason"], row["source"])
            self.counts[key] += row["count"]
            self.examples.setdefault(key, row["first"])
            self.last = self.last or row["first"]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary for each (what, reason, source), the most frequent first."""
        return [
            {"what": key[0], "reason": key[1], "source": key[2], "count": n, "first": first}
            for key, n in self.counts.most_common()
            for first in (self.examples[key],)
        ]
