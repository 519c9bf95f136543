"""What a stage of the pipeline is: records in, records out, and what was left out on the way.

A stage is one file of `stages/` with a class that a file of `configs/` names. It knows records and
boxes, none of its siblings, and nothing of shards or engines. Stages pass phrases on in
`meta["phrases"]`, a list of strings.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from cloc.data.samples import validate
from cloc.data.samples.record import Record, Region
from cloc.errors import UserError

PHRASES = "phrases"  # the key of `Record.meta`
KEEP = 4  # examples of a reason, of one shard


class Stage(Protocol):
    """Called with all records of one shard, in order; the same records give the same answer.

    A stage that needs a model or a package loads it when it is made, and says so with a `UserError`
    where it cannot. `name` is the word for it in drops and provenance.
    """

    name: str

    def __call__(self, records: Sequence[Record], notes: "Notes") -> list[Record]:
        """The records that remain, in their order; what is left out is told to `notes`."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """What the answers depend on, as plain JSON: `version`, a number that grows when this
        stage's code answers otherwise, its thresholds, its model and that one's digest."""
        ...


class Example(NamedTuple):
    """Something that was left out, for a person to look at."""

    key: str  # of the record
    what: str
    reason: str
    text: str = ""
    box: tuple[float, float, float, float] | None = None  # in pixels of the stored image
    score: float | None = None


class Notes:
    """What one stage leaves out of one shard: counts, and the first few of every reason. `events`
    are things to know by which nothing is lost, such as a batch that was run again."""

    def __init__(self, *, keep: int = KEEP) -> None:
        self.keep = keep
        self.counts: Counter[tuple[str, str]] = Counter()  # (what, reason)
        self.events: Counter[str] = Counter()
        self.examples: list[Example] = []

    def sample(self, record: Record, reason: str) -> None:
        """A whole record."""
        self._add(Example(record.key, "samples", reason))

    def caption(self, record: Record, reason: str, text: str) -> None:
        """One caption of a record that stays."""
        self._add(Example(record.key, "captions", reason, text))

    def phrase(self, record: Record, reason: str, text: str) -> None:
        """A phrase that no region will be looked for."""
        self._add(Example(record.key, "phrases", reason, text))

    def region(self, record: Record, reason: str, region: Region) -> None:
        """A region of a record that stays."""
        self._add(
            Example(record.key, "regions", reason, region.text, region.box, region.score),
        )

    def relation(self, record: Record, reason: str, region: Region, text: str) -> None:
        """Something that is not said of a region, which stays as it is; one example a record."""
        kind = ("relations", reason)
        if any((e.what, e.reason, e.key) == (*kind, record.key) for e in self.examples):
            self.counts[kind] += 1
        else:
            self._add(Example(record.key, *kind, text, region.box))

    def _add(self, example: Example) -> None:
        kind = (example.what, example.reason)
        self.counts[kind] += 1
        if sum((e.what, e.reason) == kind for e in self.examples) < self.keep:
            self.examples.append(example)


def asked_of(record: Record, notes: Notes) -> list[str]:
    """The phrases that regions of the record are looked for, each once; those that no region could
    hold are told to `notes`."""
    given = record.meta.get(PHRASES, ())
    if not isinstance(given, list | tuple) or not all(isinstance(p, str) for p in given):
        raise UserError(
            f"record {record.key}: meta.{PHRASES} is {validate.shown(given)}, expected a list "
            "of strings; run the stage phrases before detect"
        )
    asked = []
    for phrase in dict.fromkeys(given):
        if validate.is_phrase(phrase):
            asked.append(phrase)
        else:
            notes.phrase(record, "unclean", phrase)
    return asked
