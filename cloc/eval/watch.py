"""What a person sees of an evaluation that is under way: which benchmark, how many pictures of its
pass are embedded, how many a second, and how long it still takes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from cloc import terminal

Watch = Callable[[str, int, int], None]  # kind of question, pictures answered, pictures to answer
Start = Callable[[str], None]  # the benchmark that is next


class _Speed(ProgressColumn):
    """Of the passes over pictures; a benchmark takes as long as it asks for."""

    def render(self, task: Task) -> Text:
        unit = task.fields.get("unit")
        return Text("" if unit is None or task.speed is None else f"{task.speed:.1f} {unit}/s")


@contextmanager
def watched(jobs: int, *, hidden: bool) -> Iterator[tuple[Start, Watch]]:
    """Two lines: the benchmarks, `jobs` in all, and the pass over pictures that one of them makes,
    with images/s and the time that is left."""
    columns = (BarColumn(), MofNCompleteColumn(), _Speed(), TimeElapsedColumn())
    left = TimeRemainingColumn()
    with terminal.progress(*columns, left, hidden=hidden) as bar:
        every = bar.add_task("evaluating", total=jobs)
        passing = bar.add_task("", total=None, visible=False, unit="images")
        begun = 0

        def start(key: str) -> None:
            nonlocal begun
            bar.update(every, description=key, completed=begun)
            bar.update(passing, visible=False)
            begun += 1

        def watch(kind: str, done: int, total: int) -> None:
            if not done:
                bar.reset(passing, total=total, description=f"  {kind}", visible=total > 0)
            bar.update(passing, completed=done)

        yield start, watch
        bar.update(every, description="evaluated", completed=jobs)
        bar.update(passing, visible=False)
