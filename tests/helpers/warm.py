"""Processes that begin with everything imported: forks of one that has done nothing else, and that
all processes of a test run share.

A new interpreter takes five to ten seconds of a core to import torch, lightning and open_clip, a
fork none. Where the start of a process is what is tested, `subprocess` it is.
"""

import contextlib
import fcntl
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
LOCK = threading.Lock()
IMPORTED = ("open_clip", "pytest", "hydra", "cloc.report.build", "tests.helpers.fit")


class Forked:
    """A child of the warm process, as much of `subprocess.Popen` as the tests need."""

    def __init__(
        self, argv: Sequence[object], *, module: str | None = None, cwd: Path, out: Path, err: Path
    ) -> None:
        """`argv[0]` is a script, or any word where `module` is run instead."""
        words = {"argv": [str(word) for word in argv], "module": module, "cwd": str(cwd)}
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.pid: int = _ask({**words, "out": str(out), "err": str(err), "env": env})
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        if self.returncode is None:
            self.returncode = _ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; `subprocess.TimeoutExpired` after `timeout` seconds."""
        began = time.monotonic()
        while self.poll() is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        """At once, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


@cache
def _server(tester: int) -> IO[str]:
    """The connection of a process that tests with the warm one, which all of a test run share; it
    ends with the last of them. Whoever asks first starts it."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(tester))
    place = Path(tempfile.gettempdir()) / f"cloc-warm-{run}"
    with place.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(f"{place}.socket")
        except OSError:
            _start(f"{place}.socket")
            connection.connect(f"{place}.socket")
    return connection.makefile("rw")


def _start(path: str) -> None:
    """Returns when it answers."""
    Path(path).unlink(missing_ok=True)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.helpers.warm", path]
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"warm\n"
    process.stdout.close()
    process.returncode = 0  # nobody waits for it: it ends by itself


def _ask(words: dict[str, Any]) -> Any:
    """One at a time: tests start commands from several threads."""
    with LOCK:
        server = _server(os.getpid())
        server.write(json.dumps(words) + "\n")
        server.flush()
        return json.loads(server.readline())


def _serve(path: str) -> dict[str, Any] | None:
    """Answers until nobody is left; returns what to run in a fork, None in itself."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    print("warm", flush=True)
    asking: dict[socket.socket, IO[str]] = {}
    while True:
        for ready in select.select([listening, *asking], [], [])[0]:
            if ready is listening:
                client = listening.accept()[0]
                asking[client] = client.makefile("rw")
            elif line := asking[ready].readline():
                words = json.loads(line)
                answer = _polled(words["poll"]) if "poll" in words else os.fork()
                if answer == 0 and "poll" not in words:
                    for held in (*asking.values(), *asking, listening):
                        held.close()
                    return words
                asking[ready].write(json.dumps(answer) + "\n")
                asking[ready].flush()
            else:
                asking.pop(ready).close()
                ready.close()
        if not asking:
            for left in (path, path.removesuffix(".socket")):
                Path(left).unlink(missing_ok=True)
            return None


def _polled(child: int) -> int | None:
    """Its exit code, None while it runs."""
    pid, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def _become(words: dict[str, Any]) -> None:
    """Runs what was asked for, in the place and with the words of a process of its own."""
    for number, path in ((0, os.devnull), (1, words["out"]), (2, words["err"])):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(words["env"])
    os.chdir(words["cwd"])
    sys.argv[:] = words["argv"]
    if words["module"] is not None:
        runpy.run_module(words["module"], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(words["argv"][0]).parent)
        runpy.run_path(words["argv"][0], run_name="__main__")


if __name__ == "__main__":
    for name in IMPORTED:
        __import__(name)
    asked = _serve(sys.argv[1])
    if asked is not None:
        with contextlib.suppress(BrokenPipeError):
            _become(asked)
