"""How far a job is: shards, images a second, what was left out and why, the time that is left."""

import sys
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TextIO

from rich.live import Live

from cloc.terminal import plain_console, shows_bars

EVERY_S = 30.0  # between two lines where nobody sees a line change


class Progress:
    """A line that changes on a terminal; elsewhere a line every `EVERY_S` seconds, and the last."""

    def __init__(
        self, *, total: int, done: int, out: TextIO | None = None, every_s: float = EVERY_S
    ) -> None:
        """Of `total` shards `done` were there already."""
        self.total, self.before, self.done, self.failed = total, done, done, 0
        self.images, self.drops = 0, Counter[str]()
        self.out = out or sys.stdout
        self.live = Live(console=plain_console(self.out)) if shows_bars(self.out) else None
        self.every_s, self.began = every_s, time.monotonic()
        self.told = self.began

    def __enter__(self) -> Self:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self.live:
            self.live.update(self.line(), refresh=True)
            self.live.stop()
        else:
            self._print()

    def add(self, marker: Mapping[str, Any] | None) -> None:
        """One more shard has ended; None has failed."""
        if marker is None:
            self.failed += 1
        else:
            self.done += 1
            self.images += marker["input"]["samples"]
            for row in marker["drops"]:
                self.drops[f"{row['what']} {row['reason']}"] += row["count"]
        if self.live:
            self.live.update(self.line())
        elif time.monotonic() - self.told >= self.every_s:
            self._print()

    def line(self) -> str:
        """All of it in words."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        new = self.done - self.before + self.failed
        parts = [f"{self.done} of {self.total} shards", f"{self.images / seconds:.1f} images/s"]
        if self.failed:
            parts.insert(1, f"{self.failed} failed")
        if self.drops:
            most = ", ".join(f"{reason} {n:,}" for reason, n in self.drops.most_common(6))
            parts.append(f"left out: {most}")
        left = self.total - self.done - self.failed
        if new and left:
            parts.append(f"{_span(left * seconds / new)} left")
        return "; ".join(parts)

    def _print(self) -> None:
        self.told = time.monotonic()
        print(self.line(), file=self.out, flush=True)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
