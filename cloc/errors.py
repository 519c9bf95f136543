"""How a command ends: exceptions that are shown as a single line, and the signals that end it.

No torch here: data preparation stands on this file.
"""

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # that ask a run to end; the later one to requeue it
PREEMPTED = 143  # the exit code a shell gives a process that SIGTERM has ended
CLOSED_PIPE = 141  # as the shell has it: 128 + SIGPIPE


class UserError(ValueError):
    """What the user gave is wrong: the message names it, what would work and the key to change."""


class BadSample(UserError):
    """A sample no run can use. The training loader counts it under `reason` and goes on without it;
    everything else treats it as the `UserError` it is.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason  # a word, such as "image" or "annotation": the name of a counter

    def __reduce__(self) -> tuple[type["BadSample"], tuple[str, str]]:
        return BadSample, (self.reason, str(self))


def one_line(error: BaseException) -> str:
    """The beginning of a library's message, for one of ours; with the name of its kind where it
    says nothing without: an assertion's, or a key alone."""
    message = " ".join(str(error).split())[:300]
    if message and not isinstance(error, KeyError):
        return message
    return f"{type(error).__name__}: {message}".removesuffix(": ")


@contextmanager
def ends_with_its_reader() -> Iterator[None]:
    """Around a command: where what reads its output (`| head`) has seen enough, it ends quietly."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _is_closed(sys.stdout):  # another pipe or socket: that is trouble, and is told
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still held
        sys.exit(CLOSED_PIPE)


def _is_closed(file: TextIO) -> bool:
    """Whether nobody is left to read what is written to it."""
    try:
        waiting = select.poll()
        waiting.register(file.fileno(), 0)
        return any(event & select.POLLERR for _, event in waiting.poll(0))
    except (OSError, ValueError):  # it is no file
        return False
