"""The one list of signals and the exit code, and the exceptions that are lines."""

import signal
import subprocess

from cloc.errors import PREEMPTED, SIGNALS


def test_the_exit_code_is_the_one_a_shell_gives_a_process_that_sigterm_has_ended():
    done = subprocess.run(["bash", "-c", "bash -c 'kill -TERM $$'; exit $?"], check=False)
    assert done.returncode == PREEMPTED == 128 + SIGNALS[0]
    assert SIGNALS == (signal.SIGTERM, signal.SIGUSR1)
