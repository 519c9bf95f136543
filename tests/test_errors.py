"""The one list of signals and the exit code, and the exceptions that are lines."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloc.errors import CLOSED_PIPE, PREEMPTED, SIGNALS, ends_with_its_reader

ROOT = Path(__file__).parents[1]


def test_the_exit_code_is_the_one_a_shell_gives_a_process_that_sigterm_has_ended():
    done = subprocess.run(["bash", "-c", "bash -c 'kill -TERM $$'; exit $?"], check=False)
    assert done.returncode == PREEMPTED == 128 + SIGNALS[0]
    assert SIGNALS == (signal.SIGTERM, signal.SIGUSR1)


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["completion", "bash"]])
def test_where_the_reader_of_its_output_has_gone_a_command_ends_quietly(words):
    """As behind `| head -1`."""
    command = [sys.executable, "-m", "cloc", *words]
    done = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    done.stdout.close()
    assert (done.stderr.read(), done.wait(60)) == (b"", CLOSED_PIPE)
    done.stderr.close()


def test_a_pipe_that_breaks_elsewhere_is_told(capfd):
    """Of a worker or a server: its error is no end of the output."""
    with pytest.raises(BrokenPipeError), ends_with_its_reader():
        raise BrokenPipeError("a worker has gone")
