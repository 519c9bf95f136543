"""How a process is asked to end, and the exit code that says it did. No torch here."""

import signal

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # that ask a run to end; the later one to requeue it
PREEMPTED = 143  # the exit code a shell gives a process that SIGTERM has ended
