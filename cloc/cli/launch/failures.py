"""How a process ends when something failed here, in another process of the run, or by a signal."""

import atexit
import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import torch.distributed as td

from cloc import dist
from cloc.cli.config.explain import one_line_of
from cloc.errors import PREEMPTED, SIGNALS
from cloc.training.heartbeat import claim, told_by_another

PLAIN = (PREEMPTED, *(-number for number in SIGNALS))  # how a process ends that was told to
CHILDREN: list[subprocess.Popen[bytes]] = []  # the other ranks, where Lightning starts them


@contextlib.contextmanager
def ends_well() -> Iterator[None]:
    """Around all that a script does: `UserError` is one line and exit code 1, a signal 143.

    Of several ranks the first one to fail tells its error, and the others end without a word: what
    they would say is that their connection was closed.
    """
    for number in SIGNALS:
        signal.signal(number, _leave_plainly)
    _end_with_parent()
    try:
        yield
    except SystemExit as error:
        if error.code != PREEMPTED:
            raise
        _leave(PREEMPTED)
    except Exception as error:
        if dist.world_size() > 1:
            _leave_with(error)
        line = one_line_of(error)
        if line is None:
            raise
        sys.exit(f"error: {line}")
    for child in CHILDREN:  # a shell that sees the end of this process takes the run for ended
        child.wait()


def _leave_plainly(number: int, frame: FrameType | None) -> NoReturn:
    """Outside of training there is nothing to save."""
    os._exit(PREEMPTED)


def _end_with_parent() -> None:
    """A rank that Lightning has started is worth nothing without rank 0, whatever it waits for."""
    external = ("TORCHELASTIC_RUN_ID", "SLURM_PROCID")
    started = "LOCAL_RANK" in os.environ and not any(name in os.environ for name in external)
    if started and sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _leave_with(error: Exception) -> NoReturn:
    """Tells the error if it is the first one of the run."""
    lost = _is_lost_connection(error)
    try:
        store = dist.store()
        first = not (lost and _told_within(2, store)) and claim(store)
    except td.DistError:  # rank 0 has gone and the store with it
        first = not lost or dist.rank() == 1
    if lost and any(child.poll() in PLAIN for child in CHILDREN):
        _leave(PREEMPTED)
    if first:
        _tell(error, lost=lost)
    _leave(1)


def _tell(error: Exception, *, lost: bool) -> None:
    line = one_line_of(error)
    if line is not None:
        print(f"error: {line}", file=sys.stderr)
        return
    if lost:
        said = "error: another process of this run has ended without a word: killed, or out of"
        print(said, "memory", file=sys.stderr)
        return
    print(f"error on rank {dist.rank()}:", file=sys.stderr)
    traceback.print_exception(error)


def _is_lost_connection(error: BaseException) -> bool:
    gone = re.search("Connection (closed|reset) by peer|Broken pipe", str(error))
    return isinstance(error, td.DistError) or (isinstance(error, RuntimeError) and bool(gone))


def _told_within(seconds: float, store: td.Store) -> bool:
    until = time.monotonic() + seconds
    while not told_by_another(store):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _leave(code: int) -> NoReturn:
    """Loggers may finish, within five seconds; nothing is waited for longer."""
    last = threading.Timer(5, os._exit, [code])
    last.daemon = True
    last.start()
    sys.stdout.flush()
    sys.stderr.flush()
    for child in CHILDREN:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(2 if code == PREEMPTED else 0)
        child.kill()
    atexit._run_exitfuncs()
    os._exit(code)


def watch(children: list[subprocess.Popen[bytes]]) -> None:
    """From here on, this process ends soon after one of `children` has failed."""
    CHILDREN[:] = children
    threading.Thread(target=_watch, daemon=True, name="children").start()


def _watch() -> None:
    while True:
        time.sleep(0.2)
        codes = [child.poll() for child in CHILDREN]
        failed = [(rank, code) for rank, code in enumerate(codes, start=1) if code]
        if all(code == 0 for code in codes):
            return
        if failed:
            break
    plain = all(code in PLAIN for _, code in failed)
    if plain:
        time.sleep(3)  # this process is about to end by itself, or waits for one that is gone
    else:
        _say_who_was_killed(failed)
    for child in CHILDREN:
        child.kill()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(PREEMPTED if plain else 1)


def _say_who_was_killed(failed: list[tuple[int, int]]) -> None:
    """A process that failed by an error has told it."""
    killed = [(rank, signal.Signals(-code).name) for rank, code in failed if code < 0]
    several = td.is_initialized()
    if killed and (not several or claim(dist.store())):
        rank, name = killed[0]
        print(f"error: rank {rank} was ended by {name} (out of memory?)", file=sys.stderr)
