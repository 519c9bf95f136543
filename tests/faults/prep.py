"""Data preparation with workers and drivers that are killed, a poisoned tar, and a shard that
always raises: nothing lost, nothing mixed, nothing done twice but what was under way.

python -m tests.faults.prep [KILLS] [SEED]     # of each kind and engine: 5, 0; one line of JSON
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.helpers.commands import ROOT
from tests.helpers.prep import digests, write_input

SHARDS, SLEEP_S = 24, 0.1
WORKERS = {"inline": 1, "processes": 2, "ray": 2}
IN_FLIGHT = {"inline": 1, "processes": 2, "ray": 4}  # Ray holds two tasks more than CPUs
NONE = [f"stages/{group}=none" for group in ("phrases", "detect", "filter")]


def command(folder, out, engine, log, mark="none"):
    """One stage that logs and sleeps, one that may fail, on an engine."""
    workers = [] if engine == "inline" else [f"engine.workers={WORKERS[engine]}"]
    return [
        *(sys.executable, str(ROOT / "scripts/prepare.py"), "pipeline=vesl", "+trust=[tests]"),
        *(f"input={folder}", f"out={out}", f"engine={engine}", *workers, *NONE),
        *("+stages.phrases._target_=tests.helpers.stages.Logs", f"+stages.phrases.file={log}"),
        *(f"+stages.phrases.sleep_s={SLEEP_S}", f"+stages.detect.mark={mark}"),
        "+stages.detect._target_=tests.helpers.stages.Fails",
    ]


def begin(*args):
    """The command in a process group of its own."""
    return subprocess.Popen(
        command(*args),
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def begun(log):
    """How many shards have been begun, again ones too."""
    return len(log.read_text().splitlines()) if log.exists() else 0


def wait_until(condition, timeout_s=120):
    """False where it does not come true."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def workers_of(driver, engine):
    """The processes that work on shards."""
    mark = "ray::_run" if engine == "ray" else "spawn_main"  # not its agents
    found = []
    for process in psutil.Process(driver.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if mark in " ".join(process.cmdline()) or mark in process.name():
                found.append(process)
    return found


def kill_worker(base, folder, engine, rng):
    """One worker at a random moment: the command goes on to the end."""
    out, log = base / "out", base / "log"
    driver = begin(folder, out, engine, log)
    at = rng.randrange(1, SHARDS - 4)
    if not wait_until(lambda: begun(log) >= at or driver.poll() is not None):
        return "it never came so far"
    time.sleep(rng.random() * SLEEP_S)
    workers = workers_of(driver, engine)
    if not workers:
        return "no worker was found"
    with contextlib.suppress(psutil.Error):
        rng.choice(workers).kill()
    said, _ = driver.communicate(timeout=300)
    return f"exit code {driver.returncode}: {said[-500:]}" if driver.returncode else ""


def kill_driver(base, folder, engine, rng):
    """The driver at a random moment: nothing stays behind, and the same command goes on."""
    out, log = base / "out", base / "log"
    driver = begin(folder, out, engine, log)
    at = rng.randrange(1, SHARDS - 4)
    if not wait_until(lambda: begun(log) >= at or driver.poll() is not None):
        return "it never came so far"
    time.sleep(rng.random() * SLEEP_S)
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.communicate()
    _, alive = psutil.wait_procs(family, timeout=180)  # agents of Ray look for it now and then
    if alive:
        return f"{len(alive)} processes outlive the driver: {alive[0].cmdline()[:3]}"
    again = begin(folder, out, engine, log)
    said, _ = again.communicate(timeout=300)
    return f"exit code {again.returncode}: {said[-500:]}" if again.returncode else ""


def fails(base, folder, engine, mark="none"):
    """A job with one bad shard ends with an error that names it; all others are made."""
    out, log = base / "out", base / "log"
    driver = begin(folder, out, engine, log, mark)
    said, _ = driver.communicate(timeout=300)
    if driver.returncode != 1 or f"1 of {SHARDS} shards failed" not in said:
        return f"exit code {driver.returncode}: {said[-500:]}"
    [row] = json.loads((out / "quarantine.json").read_text())
    return "" if row["shard"] == "shard-000005" else f"quarantined {row}"


def poison(folder):
    """A copy of the input whose shard 5 is noise."""
    other = write_input(folder.with_name("poisoned"), shards=SHARDS)
    path = other / "shard-000005.tar"
    path.write_bytes(random.Random(5).randbytes(path.stat().st_size))
    return other


def check(kind, engine, base, reference, *, redo):
    """What is wrong with the output, or ""."""
    found = digests(base / "out")
    expected = dict(reference)
    if kind in ("poisoned", "raises"):
        expected = {k: v for k, v in reference.items() if "000005" not in k}
    if found != expected:
        return f"{len(set(expected.items()) - set(found.items()))} files differ"
    if redo > IN_FLIGHT[engine]:
        return f"{redo} shards were begun again"
    left = [p.name for p in (base / "out").rglob("*.partial")]
    return f"left behind: {left}" if left else ""


def case(kind, engine, base, folder, reference, rng):
    """(what is wrong or "", shards begun more than once)."""
    wrong = {
        "kill_worker": lambda: kill_worker(base, folder, engine, rng),
        "kill_driver": lambda: kill_driver(base, folder, engine, rng),
        "poisoned": lambda: fails(base, poison(base / "in"), engine),
        "raises": lambda: fails(base, folder, engine, "s5i"),
    }[kind]()
    redo = begun(base / "log") - SHARDS if kind.startswith("kill") else 0
    return wrong or check(kind, engine, base, reference, redo=redo), redo


def reference_of(base, folder):
    """Digests of an undisturbed run, whose stages say the same of themselves."""
    done = begin(folder, base / "whole", "inline", base / "log-whole")
    said, _ = done.communicate(timeout=300)
    assert done.returncode == 0, said
    return digests(base / "whole")


def run(kills=5, seed=0, engines=("inline", "processes", "ray")):
    """Every kind on every engine; {} of `wrong` where all is well."""
    rng, wrong, most, count = random.Random(seed), {}, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        source = write_input(base / "in", shards=SHARDS)
        reference = reference_of(base, source)
        for engine in engines:
            kinds = ["poisoned", "raises", *["kill_driver"] * kills]
            kinds += ["kill_worker"] * (kills if engine != "inline" else 0)
            for number, kind in enumerate(kinds):
                place = base / f"{engine}-{number}"
                place.mkdir()
                said, redo = case(kind, engine, place, source, reference, rng)
                count, most = count + 1, max(most, redo)
                if said:
                    wrong[f"{engine} {kind} {number}"] = said
    return {"what": "prep", "cases": count, "most_begun_again": most, "wrong": wrong}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = run(*map(int, sys.argv[1:]))
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
