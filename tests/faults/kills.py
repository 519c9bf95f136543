"""The real command, killed with SIGKILL at a random moment and started again: the same weights.

On one process, on two ranks, and on two over which FSDP spreads the model.

python -m tests.faults.kills [KILLS] [SEED]     # 20 and 0; one line of JSON
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cloc.checkpoints.locations import place_of
from tests.helpers.commands import ROOT, start, succeed

SETTINGS = ("experiment=smoke", "steps=12", "checkpoint_every=3", "eval.every=0")
CPU = ("trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=auto")
AFTER_A_CHECKPOINT = 0.75  # of the kills; most of a run this short is its imports
LAST_STEPS_S = 1.0  # about what the steps from the first checkpoint to the end take
LAYOUTS = {
    "one": (),
    "two": ("trainer.devices=2", "trainer.strategy=ddp"),
    "fsdp": ("trainer=fsdp", *CPU),
}


def command(name, layout, workers):
    return (*SETTINGS, *LAYOUTS[layout], f"name={name}", f"data.num_workers={workers}")


def weights(place, name):
    """Digest of the run's last weights."""
    path = place / "runs" / name / "checkpoints/step-00000012/model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kill_one(place, name, *, layout, rng, lasts_s):
    """Starts a run, kills all of it at a random moment of its life, and starts it again.

    Returns the fault or None, and the moment; a run that had ended by itself is no kill.
    """
    process = _start(place, *command(name, layout, rng.randrange(3)))
    checkpoints = place_of(place / "runs" / name)
    if rng.random() < AFTER_A_CHECKPOINT:
        while process.poll() is None and not checkpoints.steps():
            time.sleep(0.01)
        waits_s = rng.uniform(0, LAST_STEPS_S)
    else:
        waits_s = rng.uniform(0, lasts_s)
    try:
        process.wait(waits_s)
        return None, "after its end"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    saved = checkpoints.steps()
    again = start("train", *command(name, layout, rng.randrange(3)), "resume=auto", cwd=place)
    if again.returncode:
        return f"{name}: {again.stderr.strip()[-300:]}", "failed"
    if weights(place, name) != weights(place, f"whole-{layout}"):
        return f"{name}: other weights", "failed"
    return None, "after a checkpoint" if saved else "before the first"


def _start(place, *overrides):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/train.py"), *overrides],
        cwd=place,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def run(kills, seed=0):
    """The figures, over all layouts."""
    began, rng, wrong, moments = time.perf_counter(), random.Random(seed), [], {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sizes = ("train=64", "val=0", "novel=0", "samples_per_shard=16")
        succeed("prepare", "import=scenes", "out=data/smoke", *sizes, cwd=place)
        for i, layout in enumerate(LAYOUTS):
            started = time.perf_counter()
            succeed("train", *command(f"whole-{layout}", layout, 0), cwd=place)
            lasts_s, done, tries = time.perf_counter() - started, i, 0
            while done < kills:
                name, tries = f"killed-{layout}-{tries}", tries + 1
                fault, moment = kill_one(place, name, layout=layout, rng=rng, lasts_s=lasts_s)
                moments[moment] = moments.get(moment, 0) + 1
                wrong += [fault] * bool(fault)
                done += len(LAYOUTS) * (moment != "after its end")
                lasts_s *= 0.9 if moment == "after its end" else 1
    seconds = round(time.perf_counter() - began)
    exact = kills - len(wrong)
    return {
        "what": "kills",
        "kills": kills,
        "exact": exact,
        "killed": moments,
        "wrong": wrong,
        "seconds": seconds,
    }


if __name__ == "__main__":
    found = run(*map(int, sys.argv[1:] or ["20"]))
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
