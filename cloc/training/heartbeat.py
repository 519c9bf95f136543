"""Each rank says from a thread of its own where it is; who hangs is found by comparing."""

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch.distributed as td

from cloc.training.waiting_places import waiting

FAILED = "cloc/failed"  # counts the ranks that have an error to tell
EVERY_S = 0.5
RECENT_S = 2.0
COMPILES = ("torch/_dynamo/convert_frame.py", "torch/_inductor/compile_fx.py")
LOADER = ("cloc/data/loader.py", "__iter__")


class Beat(NamedTuple):
    """What one rank says of its main thread."""

    step: int  # steps it has finished
    where: str  # file:line function
    waits: bool  # for other ranks, by the look of it
    on_device: bool  # waits, and it may be for its own device alone
    loads: bool  # waits for its data, or makes it
    between: bool  # at work between two steps: saving, benchmarks
    still_s: float  # for how long all of the above and the whole stack have been the same
    busy: bool  # it has used the processor just now, or compiles
    number: int  # of this beat: one that does not grow comes from a process that is gone or frozen


class MainThread:
    """Looks at the main thread from another one."""

    def __init__(self) -> None:
        thread = threading.main_thread()
        assert thread.ident is not None
        self.ident = thread.ident
        self.clock = time.pthread_getcpuclockid(thread.ident)
        self.seen: tuple[Any, ...] = ()
        self.since = time.monotonic()
        self.used: deque[tuple[float, float]] = deque()  # when, seconds of the processor by then
        self.number = 0

    def beat(self, step: int) -> Beat:
        """Where it is now, and since when."""
        stack = self._stack()
        now = time.monotonic()
        if (step, *stack) != self.seen:
            self.seen, self.since = (step, *stack), now
        self.number += 1
        busy = self._busy(now) or any(part in file for file, *_ in stack for part in COMPILES)
        waits, on_device = waiting(stack, busy=busy)
        return Beat(
            step=step,
            where=" ".join(_short(*stack[0])) if stack else "nowhere",
            waits=waits,
            on_device=on_device,
            loads=any(LOADER[0] in file and name == LOADER[1] for file, _, name in stack),
            between=any(name == "on_train_batch_end" for _, _, name in stack),
            still_s=now - self.since,
            busy=busy,
            number=self.number,
        )

    def _busy(self, now: float) -> bool:
        self.used.append((now, time.clock_gettime(self.clock)))
        while self.used[0][0] < now - RECENT_S and len(self.used) > 2:
            self.used.popleft()
        (before, used_before), (_, used) = self.used[0], self.used[-1]
        return used - used_before > 0.1 * (now - before)

    def _stack(self) -> list[tuple[str, int, str]]:
        """(file, line, function), innermost first."""
        frame, stack = sys._current_frames().get(self.ident), []
        while frame is not None:
            stack.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
            frame = frame.f_back
        return stack


def _short(file: str, line: int, name: str) -> tuple[str, str]:
    return f"{'/'.join(file.split('/')[-2:])}:{line}", name


def hang(beats: Sequence[Beat], *, hang_s: float, loader_s: float) -> str | None:
    """One line that names who the others wait for; None where nobody does, or not for long.

    No rank has moved for `hang_s`, and one that sleeps outside of a collective is the cause: it is
    named, one that waits for its data only after `loader_s`. Where all sleep in collectives, those
    furthest behind are. A rank that computes, or is busy between two steps (a checkpoint,
    benchmarks), is left to the timeout of the collectives, and so is a run in which no rank waits
    for another, or all do for their devices.
    """
    if min(beat.still_s for beat in beats) < hang_s or not any(beat.waits for beat in beats):
        return None
    asleep = [beat for beat in beats if not beat.waits and not beat.busy and not beat.between]
    outside = [beat for beat in asleep if beat.still_s >= (loader_s if beat.loads else hang_s)]
    inside = all(beat.waits and not beat.on_device for beat in beats)
    if not outside and not inside:
        return None
    step = min(beat.step for beat in beats)
    found = outside or [beat for beat in beats if beat.step == step]
    ranks = [rank for rank, beat in enumerate(beats) if beat in found]
    return _told(ranks, beats, since_s=min(beat.still_s for beat in beats))


def _told(ranks: Sequence[int], beats: Sequence[Beat], *, since_s: float) -> str:
    if len(ranks) == len(beats):
        who = "all ranks wait for each other"
    else:
        who = f"the others wait for rank {', '.join(map(str, ranks[:8]))}"
        who += f" and {len(ranks) - 8} more" if len(ranks) > 8 else ""
    shown = dict.fromkeys(ranks[:8])
    shown |= dict.fromkeys([rank for rank in range(len(beats)) if rank not in shown][:2])
    places = "; ".join(
        f"rank {r} {_does(beats[r])} in step {beats[r].step + 1} at {beats[r].where}" for r in shown
    )
    return f"nothing has moved for {since_s:.0f} s: {who}; {places}"


def _does(beat: Beat) -> str:
    return "waits for its data" if beat.loads else "is"


class Heartbeat(threading.Thread):
    """Beats twice a second until `stop`; rank 0 compares, and every rank watches rank 0.

    Ends the process, whatever its main thread waits for: with exit code 1 when a rank hangs, is
    gone or has told an error; a signal that a launcher sent because of that comes to the same.
    """

    def __init__(
        self,
        store: td.Store,
        *,
        rank: int,
        ranks: int,
        hang_s: float,
        loader_s: float,
        told: Callable[[], bool],
    ) -> None:
        super().__init__(daemon=True, name="heartbeat")
        self.store, self.rank, self.ranks = store, rank, ranks
        self.hang_s, self.loader_s = hang_s, loader_s
        self.told = told  # whether this rank has been told to end
        self.step = 0  # set by the callback
        self.armed = False  # a first step may take long: compilers, caches, workers
        self.done = threading.Event()
        self.fresh = {rank: (0, time.monotonic()) for rank in range(ranks)}  # last count, when

    def stop(self) -> None:
        """Waits until the thread has ended."""
        self.done.set()
        self.join()

    def run(self) -> None:
        """The store is gone where rank 0, or the launcher, is."""
        main = MainThread()
        while not self.done.wait(EVERY_S):
            try:
                self.look(main.beat(self.step))
            except td.DistError:
                if not self.done.wait(3):  # it may be that the run is at its end
                    leave("error: rank 0 has ended without a word" if self.rank == 1 else "")

    def look(self, mine: Beat) -> None:
        """One beat: says this rank's, reads those of others, and draws the conclusion."""
        self.store.set(f"cloc/beat/{self.rank}", json.dumps(mine))
        if told_by_another(self.store):
            if not self.done.wait(2):  # the main thread may end by itself, and better
                leave("")
            return
        watched = range(self.ranks) if self.rank == 0 else (0,)
        names = [f"cloc/beat/{rank}" for rank in watched]
        if not self.store.check(names):
            return
        values = self.store.multi_get(names)
        beats = [Beat(*json.loads(value)) for value in values]
        gone = self.gone(dict(zip(watched, beats, strict=True)))
        text = gone if gone or self.rank else self.hang(beats)
        if text and self.armed and not self.done.is_set():
            leave(f"error: {text}" if claim(self.store) else "")

    def hang(self, beats: Sequence[Beat]) -> str | None:
        """With this run's limits."""
        return hang(beats, hang_s=self.hang_s, loader_s=self.loader_s)

    def gone(self, beats: dict[int, Beat]) -> str | None:
        """Who has not beaten for `hang_s`, or for 5 s where a launcher has told this one to end."""
        now = time.monotonic()
        for rank, beat in beats.items():
            if beat.number != self.fresh[rank][0]:
                self.fresh[rank] = (beat.number, now)
        limit_s = 5 if self.told() else self.hang_s
        silent = [rank for rank in beats if now - self.fresh[rank][1] > limit_s]
        if not silent:
            return None
        last = min(beats[rank].step for rank in silent)
        which = ", ".join(map(str, silent[:8]))
        return f"rank {which} gives no sign of life any more, its last known step was {last}"


def claim(store: td.Store) -> bool:
    """Whether this process is the first of the run to tell an error."""
    return int(store.add(FAILED, 1)) == 1


def told_by_another(store: td.Store) -> bool:
    """Whether some process of the run has told an error."""
    return bool(store.check([FAILED]))


def leave(text: str) -> None:
    """Ends the process at once with exit code 1, from any thread."""
    if text:
        print(text, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
