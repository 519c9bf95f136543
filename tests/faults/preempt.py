"""SIGTERM and SIGUSR1 at random moments of the real command: a checkpoint, 143, and the same end.

python -m tests.faults.preempt [TIMES] [SEED]     # 50 and 0; one line of JSON

To rank 0, rank 1, the launcher or every process of the job, workers included; on one process, on
two of Lightning's and on two under torchrun (which has an exit code of its own); half of the time
between benchmarks. Each run goes on with `resume=auto` to the weights of the uninterrupted one.
"""

import hashlib
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from cloc.checkpoints.folder import WEIGHTS, newest
from cloc.checkpoints.locations import place_of
from tests.helpers.commands import succeed
from tests.helpers.processes import Run

LIMIT_S = 5
STEPS = 60
SETTINGS = ("experiment=smoke", f"steps={STEPS}", "checkpoint_every=1000", "data.num_workers=1")
# (processes, under torchrun, target)
CASES = (
    *((1, False, target) for target in ("launcher", "all")),
    *((2, False, target) for target in (0, 1, "all")),
    *((2, True, target) for target in (0, 1, "all", "launcher")),
)


def prepare(place):
    sizes = ("train=64", "val=24", "novel=0", "samples_per_shard=16")
    succeed("prepare", "import=scenes", "out=data/smoke", *sizes, cwd=place)
    for ranks in (1, 2):
        run = Run(place, *SETTINGS, "eval.every=0", f"name=whole{ranks}", ranks=ranks)
        assert run.end(limit_s=600)[0] == 0, run.said()


def weights(run):
    """Digest of the run's last weights."""
    place = place_of(run)
    with place.open(newest(place).step, WEIGHTS) as file:
        return hashlib.sha256(file.read()).hexdigest()


def preempt(place, case, *, name, rng, after_s, limit_s=LIMIT_S):
    """What went wrong, or None, and the seconds from the signal to the end; None of a run that had
    its last step first."""
    ranks, torchrun, target = case
    number = rng.choice((signal.SIGTERM, signal.SIGUSR1))
    if torchrun and target in ("all", "launcher"):
        number = signal.SIGTERM  # SIGUSR1 ends torchrun itself, at once
    command = (*SETTINGS, f"eval.every={rng.choice((0, 4))}", "eval.splits={val: data/smoke/val}")
    run = Run(place, *command, f"name={name}", ranks=ranks, torchrun=torchrun)
    run.wait_for_step(1)
    time.sleep(rng.uniform(0, after_s))
    try:
        run.send(number, target)
    except (ProcessLookupError, TypeError):
        pass
    code, seconds = run.end()
    done = run.steps() == STEPS
    where = f"{name}: {ranks} ranks, torchrun {torchrun}, {number.name} to {target}"
    said = run.said()
    if not done or code != 0:
        found = [] if code == 143 or (torchrun and code) else [f"exit code {code}"]
        found += [f"{seconds:.1f} s"] if seconds > limit_s else []
        found += _of_the_checkpoint(run, said)
        if found:
            return f"{where}: {', '.join(found)}: {said[-600:]}", seconds
    again = Run(place, *command, f"name={name}", "resume=auto", ranks=ranks)
    if again.end(limit_s=600)[0] != 0:
        return f"{where}: it does not go on: {again.said()[-600:]}", seconds
    if weights(run.folder) != weights(place / f"runs/whole{ranks}"):
        return f"{where}: other weights", seconds
    shutil.rmtree(run.folder)
    return None, None if done and code == 0 else seconds


def _of_the_checkpoint(run, said):
    """It is that of the step all ranks ended after."""
    named = re.findall(r"after step (\d+): saved", said)
    step = newest(place_of(run.folder)).step
    if len(named) != 1 or not step:
        return [f"saved {named}"]
    found = [] if step == int(named[0]) else [f"step {step} saved, {named[0]} named"]
    found += [f"{run.steps()} steps logged"] if abs(run.steps() - step) > 1 else []
    return found + (["a traceback"] if "Traceback" in said and not run.torchrun else [])


def run(times, seed=0, *, cases=CASES, limit_s=LIMIT_S):
    """The figures; runs that ended before the signal came are made again."""
    began, rng, wrong, took, late = time.perf_counter(), random.Random(seed), [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        prepare(place)
        after_s = 3.0
        while len(took) + len(wrong) < times:
            index = len(took) + len(wrong)
            case = cases[index % len(cases)]
            name = f"run{index}-{late}"
            fault, seconds = preempt(
                place, case, name=name, rng=rng, after_s=after_s, limit_s=limit_s
            )
            if fault is None and seconds is None:
                late, after_s = late + 1, after_s * 0.8
                continue
            wrong += [fault] * bool(fault)
            took += [] if fault else [seconds]
    return {
        "what": "preempt",
        "times": times,
        "well": len(took),
        "slowest_s": round(max(took, default=0), 1),
        "ended_before": late,
        "wrong": wrong,
        "seconds": round(time.perf_counter() - began),
    }


if __name__ == "__main__":
    found = run(*map(int, sys.argv[1:] or ["50"]))
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
