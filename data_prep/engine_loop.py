"""The loop around every engine: units in, outcomes out, failures tried again at the end."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from data_prep.work_unit import Unit, Work

RETRIES = 2  # of a unit that failed or whose worker died, before it is set aside
IN_A_ROW = 8  # failures without a success between them: it is not the units, but what they all need


class Outcome(NamedTuple):
    """How a unit ended: with its marker, or with the error that was met."""

    unit: Unit
    marker: dict[str, Any] | None
    error: str = ""


class Engine(Protocol):
    """Where and how units are worked on; a file of `engines/`, chosen by `engine=NAME`."""

    def run(self, work: Work, units: Iterable[Unit]) -> Iterator[Outcome]:
        """One outcome per unit, in the order they end. What is wrong with the settings (a stage
        that cannot be made) raises `UserError`."""
        ...


class Pool(Protocol):
    """Where units are worked on. What is wrong with the settings (a stage that cannot be made) is
    a `UserError` of `wait`; what is wrong with one unit, a worker's death included, an `Outcome`.
    """

    slots: int  # units that may be submitted and not yet waited for

    def submit(self, unit: Unit) -> None:
        """Begins it, or queues it."""
        ...

    def wait(self) -> Outcome:
        """The next unit that ends, whichever it is."""
        ...

    def close(self) -> None:
        """Ends the workers, busy or not."""
        ...


def drive(pool: Pool, units: Iterable[Unit], *, retries: int = RETRIES) -> Iterator[Outcome]:
    """One outcome per unit, in the order they end; `units` is read as slots become free.

    A unit that fails is tried again after the others, so that what was only out of order for a
    moment has time to recover; the outcome of the last try counts. After `IN_A_ROW` failures those
    that failed come first, so that it shows soon where nothing will work any more.
    """
    waiting, again, tries = iter(units), deque[Unit](), Counter[int]()
    busy = in_a_row = 0
    while True:
        while busy < pool.slots:
            unit = None if again and in_a_row >= IN_A_ROW else next(waiting, None)
            if unit is None and again:
                unit = again.popleft()
            if unit is None:
                break
            pool.submit(unit)
            busy += 1
        if not busy:
            return
        outcome = pool.wait()
        busy -= 1
        in_a_row = in_a_row + 1 if outcome.marker is None else 0
        if outcome.marker is None and tries[outcome.unit.number] < retries:
            tries[outcome.unit.number] += 1
            again.append(outcome.unit)
        else:
            tries.pop(outcome.unit.number, None)
            yield outcome
