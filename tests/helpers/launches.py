"""The ways a run is launched, on one machine: stand-ins for Slurm, processes started by hand."""

import contextlib
import os
import random
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

from lightning.pytorch.loggers import Logger

from tests.helpers.commands import ROOT

TRAIN = str(ROOT / "scripts/train.py")

SRUN = """#!{python}
import os, subprocess, sys, time
command = sys.argv[1:]
while command[0].startswith("--"):
    del command[0]
tasks, nodes = int(os.environ["SLURM_NTASKS"]), int(os.environ["SLURM_JOB_NUM_NODES"])
running = []
for rank in range(tasks):
    each = tasks // nodes
    step = dict(SLURM_STEP_ID=0, SLURM_STEP_NUM_TASKS=tasks, SLURM_STEP_NUM_NODES=nodes,
                SLURM_PROCID=rank, SLURM_LOCALID=rank % each, SLURM_NODEID=rank // each)
    env = os.environ | {{name: str(value) for name, value in step.items()}}
    running.append(subprocess.Popen(command, env=env))
    time.sleep(float(os.environ.get("STAGGER_S", "0")))
worst = 0
while running:
    time.sleep(0.05)
    for process in [p for p in running if p.poll() is not None]:
        running.remove(process)
        worst = worst or process.returncode
    if worst and "--kill-on-bad-exit=1" in sys.argv:
        time.sleep(2)  # Slurm too gives them a moment
        for process in running:
            process.terminate()
sys.exit(worst)
"""
SCONTROL = """#!/bin/bash
[[ "$1 $2 $3" == "show hostnames here[1-2]" ]] && printf '127.0.0.1\\nhere2\\n'
"""
SHOW = """#!/bin/bash
exec "$(type -P printf)" '%s\\n' "$@"  # one write: the shell's own mixes the lines of two tasks
"""
BATCH = {  # what sbatch sets; without srun these do not make a process a task
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NAME": "lr",
    "SLURM_JOB_NODELIST": "here[1-2]",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "PYTHON": sys.executable,
}


class Say(Logger):
    """A logger that leaves one file of every process in `folder`, holding what its config says."""

    name, version = "say", ""

    def __init__(self, folder: str, word: str) -> None:
        super().__init__()
        Path(folder).mkdir(exist_ok=True)
        (Path(folder) / str(os.getpid())).write_text(str(word))

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Nothing."""

    def log_hyperparams(self, params: object, *args: object) -> None:
        """Nothing."""


def free_port() -> int:
    """One of those that the batch files choose from."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


def environment(**more: str) -> dict[str, str]:
    """As `commands.start` gives it."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **more}


def launch(*command: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Any command, at most five minutes."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def torchrun(ranks: int, *overrides: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`torchrun --standalone --nproc-per-node RANKS scripts/train.py OVERRIDES`."""
    module = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}")
    return launch(sys.executable, *module, TRAIN, *overrides, cwd=cwd)


def batch(
    script: str, *arguments: str, cwd: Path, tasks: int, nodes: int = 1, **env: str
) -> subprocess.CompletedProcess[str]:
    """`scripts/slurm/SCRIPT ARGUMENTS` as sbatch runs it, `srun` and `scontrol` being stand-ins.

    `PYTHON="show"` prints the arguments instead.
    """
    tools = cwd / "tools"
    tools.mkdir(exist_ok=True)
    srun = SRUN.format(python=sys.executable)
    for name, text in (("srun", srun), ("scontrol", SCONTROL), ("show", SHOW)):
        (tools / name).write_text(text)
        (tools / name).chmod(stat.S_IRWXU)
    if not (cwd / "scripts").exists():
        (cwd / "scripts").symlink_to(ROOT / "scripts")  # sbatch starts where it was called
    sizes = {"SLURM_NTASKS": str(tasks), "SLURM_JOB_NUM_NODES": str(nodes)}
    path = f"{tools}:{os.environ['PATH']}"
    job = str(free_port() + 10000)  # of which the file makes that port
    env = {**BATCH, **sizes, "SLURM_JOB_ID": job, "PATH": path, **env}
    return launch("bash", f"scripts/slurm/{script}", *arguments, cwd=cwd, **env)


def by_hand(
    ranks: int, *overrides: str, cwd: Path, stagger_s: float = 0
) -> list[subprocess.CompletedProcess[str]]:
    """Every process started by itself, each `stagger_s` after the one before."""
    port, running = free_port(), []
    for rank in range(ranks):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
        meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        running.append(
            subprocess.Popen(
                [sys.executable, TRAIN, *overrides],
                cwd=cwd,
                env=environment(**place, **meet),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        time.sleep(stagger_s if rank + 1 < ranks else 0)
    done = []
    for process in running:
        out, err = process.communicate(timeout=300)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return done
