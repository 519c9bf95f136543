"""Processes that begin with everything imported: forks of one that has done nothing else.

A new interpreter takes five seconds of a core to import torch, lightning and open_clip, a fork
none. Where the start of a process is what is tested, `subprocess` it is.
"""

import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

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
def _server(tester: int) -> subprocess.Popen[str]:
    """One for each process that tests; it ends when its standard input does."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.warm"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _ask(words: dict[str, Any]) -> Any:
    """One at a time: tests start commands from several threads."""
    with LOCK:
        server = _server(os.getpid())
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(words) + "\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())


def _serve() -> dict[str, Any] | None:
    """Answers until its standard input ends; returns what to run in a fork, None in itself."""
    for line in sys.stdin:
        words = json.loads(line)
        if "poll" in words:
            pid, status = os.waitpid(words["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if not answer:
                return words
        print(json.dumps(answer), flush=True)
    return None


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
    asked = _serve()
    if asked is not None:
        with contextlib.suppress(BrokenPipeError):
            _become(asked)
