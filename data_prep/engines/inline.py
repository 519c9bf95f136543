"""Units one after another in this process: the default, and what the other engines' workers do."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloc.errors import one_line
from data_prep.engine_loop import Outcome, drive
from data_prep.stage import Stage
from data_prep.work_unit import Unit, Work, make_stages, run_unit


class Inline:
    """No processes, nothing to start."""

    def run(self, work: Work, units: Iterable[Unit]) -> Iterator[Outcome]:
        """One outcome per unit."""
        return drive(InlinePool(work), units)


class InlinePool:
    """Works on a unit when it is waited for."""

    slots = 1

    def __init__(self, work: Work) -> None:
        self.work, self.stages = work, make_stages(work)
        self.unit: Unit | None = None

    def submit(self, unit: Unit) -> None:
        self.unit = unit

    def wait(self) -> Outcome:
        assert self.unit is not None
        return attempt(self.unit, self.work, self.stages)

    def close(self) -> None:
        pass


def attempt(unit: Unit, work: Work, stages: Mapping[str, tuple[Stage, dict[str, Any]]]) -> Outcome:
    """Whatever a unit raises is its outcome: the next one has nothing to do with it."""
    try:
        return Outcome(unit, run_unit(unit, work, stages))
    except Exception as error:
        return Outcome(unit, None, f"{type(error).__name__}: {one_line(error)}")
