"""`train --multirun key=a,b other=1,2`: every combination as a run of its own, in turn.

Each is a process, so that none leaves anything behind for the next, and a name of its own.
"""

import itertools
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from cloc.cli.config.compose import compose_config, composed
from cloc.cli.config.explain import names_a_group
from cloc.cli.config.kinds import kind
from cloc.cli.config.quoting import alternatives
from cloc.cli.launch.peers import Peers
from cloc.errors import PREEMPTED, SIGNALS, UserError

TRAIN = (sys.executable, "-m", "cloc", "train")


def sweep(overrides: Sequence[str], peers: Peers) -> None:
    """Runs all, whatever becomes of one of them; `UserError` at the end if any has failed.

    Everything is composed first, so a key that is wrong ends the sweep before its first run. A
    sweep that is stopped goes on with `resume=auto`.
    """
    if peers.by:
        raise UserError(
            f"--multirun under {peers.by}: start it as one process, with trainer.devices=N for "
            "several GPUs; over several nodes runs of a sweep are jobs of their own "
            "(scripts/slurm/sweep.sbatch)"
        )
    jobs = combinations(overrides)
    names = distinct([compose_config("train", job).name for job in jobs])
    failed = []
    for i, (job, name) in enumerate(zip(jobs, names, strict=True), start=1):
        print(f"run {i} of {len(jobs)}: {' '.join(job)} name={name}", flush=True)
        code = _run([*job, f"name={name}"])
        if code == PREEMPTED:
            sys.exit(code)
        failed += [name] if code else []
    if failed:
        raise UserError(f"{len(failed)} of {len(jobs)} runs have failed: {', '.join(failed)}")


def _run(overrides: Sequence[str]) -> int:
    """A signal to end is the run's, which then saves."""
    process = subprocess.Popen([*TRAIN, *overrides])
    for number in SIGNALS:
        signal.signal(number, lambda number, _: process.send_signal(number))
    return process.wait()


def combinations(overrides: Sequence[str]) -> list[list[str]]:
    """Hydra's own grid: the last key changes fastest, and all of its sweep syntax is understood;
    of a key that holds text, the texts between commas."""
    groups = [_parts(override)[0] for override in overrides if names_a_group(override)]
    kind_of = partial(kind, composed("train", groups)[0])
    choices = [alternatives(override, kind_of) or _parts(override) for override in overrides]
    return [list(job) for job in itertools.product(*choices)]


def _parts(override: str) -> list[str]:
    word = _parsed(override)
    if not word.is_sweep_override():
        return [override]
    return [f"{word.get_key_element()}={value}" for value in word.sweep_string_iterator()]


def _parsed(override: str) -> Override:
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        cause = str(error).split("See https")[0].strip()
        raise UserError(f"{override} is no KEY=VALUE and no KEY=A,B: {cause}") from None


def distinct(names: Sequence[str]) -> list[str]:
    """As they are where they differ, else numbered from 1."""
    if len(set(names)) == len(names):
        return list(names)
    return [f"{name}-{i}" for i, name in enumerate(names, start=1)]
