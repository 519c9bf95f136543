"""Every way to launch a run: one run folder, one config, and a refusal that ends all ranks.

python -m tests.faults.launches [RANKS]     # at most 4; one line of JSON

Goal 27 of run-dir hygiene: 1 to 4 ranks by torchrun, by hand, by Slurm's batch files with stand-ins
for srun and scontrol, and by Lightning; ranks that start two seconds apart; sweeps. The name of a
run and a word that every process writes down hold the time of composition in microseconds, so a
second composition would show.
"""

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from omegaconf import OmegaConf

from tests.helpers.commands import start, succeed
from tests.helpers.launches import batch, by_hand, torchrun

BATCH_SIZE = 12  # of 1, 2, 3 or 4 ranks
SHORT = ("eval.every=0", "steps=2", "checkpoint_every=2", "data.num_workers=0")
RUN = ("experiment=smoke", f"batch_size={BATCH_SIZE}", *SHORT)
SAY = (
    "+logger.say._target_=tests.helpers.launches.Say",
    "+logger.say.word=${now:%f}",
    "+trust=[tests.helpers.launches]",
)
STAGGER_S = 2


def ways(place, most):
    """Name to (ranks, what launches them with the keys it is given), of at most `most` ranks."""
    found = {"alone": (1, partial(start, "train", cwd=place))}
    for ranks in (1, 2, 3, 4):
        found[f"torchrun {ranks}"] = (ranks, partial(torchrun, ranks, cwd=place))
    for ranks in (2, 3, 4):
        apart = partial(by_hand, ranks, cwd=place, stagger_s=STAGGER_S)
        found[f"by hand {ranks}, staggered"] = (ranks, apart)
    for ranks, nodes in ((2, 1), (4, 2)):
        size = {"tasks": ranks, "nodes": nodes, "STAGGER_S": str(STAGGER_S)}
        job = partial(batch, "train.sbatch", cwd=place, **size)
        found[f"train.sbatch {ranks} on {nodes}, staggered"] = (ranks, job)
        found[f"lightning {ranks}"] = (ranks, partial(lightning, ranks, place))
    nodes = {"tasks": 2, "nodes": 2, "SLURM_GPUS_ON_NODE": "2"}
    found["torchrun.sbatch 4 on 2"] = (4, partial(batch, "torchrun.sbatch", cwd=place, **nodes))
    return {name: way for name, way in found.items() if way[0] <= most}


def lightning(ranks, place, *keys):
    return start("train", *keys, f"trainer.devices={ranks}", cwd=place)


def finish(done):
    """Exit codes and what was said on stderr, of one process or several."""
    many = done if isinstance(done, list) else [done]
    return [each.returncode for each in many], "".join(each.stderr for each in many)


def problems(place, name, ranks, codes):
    """What is wrong with the runs in runs/`name`; a single good one has no problem."""
    folder = place / "runs" / name
    runs = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if any(codes) or len(runs) != 1:
        return [f"{name}: exit codes {codes}, run folders {runs}"]
    run = folder / runs[0]
    cfg = OmegaConf.load(run / "config.yaml")
    said = [path.read_text() for path in (place / f"said {name}").iterdir()]
    found = []
    if cfg.name != run.name or said != [cfg.logger.say.word] * ranks:
        found.append(f"{name}: {cfg.name} and {cfg.logger.say.word} frozen, {said} read")
    if json.loads((run / "provenance.json").read_text())["devices"] != ranks:
        found.append(f"{name}: not {ranks} ranks")
    return found


def keys_of(name):
    """Runs of one way of launching lie in a folder of its name."""
    return (*RUN, f"runs=runs/{name}", *SAY, f"+logger.say.folder='said {name}'")


def launch_all(place, most):
    """How many launches, and what went wrong."""
    found, wrong = ways(place, most), []
    for name, (ranks, launch) in found.items():
        codes, said = finish(launch(*keys_of(name), "name=x"))
        now = problems(place, name, ranks, codes)
        wrong += [f"{line}: {said[-500:]}" for line in now]
    return len(found), wrong


def refuse_all(place, most):
    """Every way but the batch files, whose resume=auto goes on, into a run that is there."""
    seconds, wrong = [], []
    succeed("train", *RUN, "runs=runs/there", "name=first", cwd=place)
    there = place / "runs/there/first"
    before = {path: path.stat().st_mtime_ns for path in there.rglob("*")}
    for name, (_, launch) in ways(place, most).items():
        if "sbatch" in name:
            continue
        began = time.perf_counter()
        codes, said = finish(launch(*RUN, "runs=runs/there", "name=first"))
        seconds.append(round(time.perf_counter() - began, 1))
        if 0 in codes or said.count("there/first exists; continue it with resume=auto") != 1:
            wrong.append(f"{name}: not refused once by all: {codes} {said[-500:]}")
    if before != {path: path.stat().st_mtime_ns for path in there.rglob("*")}:
        wrong.append("a refused launch has changed the run")
    return seconds, wrong


def sweep(place):
    """A job array of three lines, of two ranks each: three runs; started again, nothing to do."""
    lines = [" ".join([*RUN, "runs=runs/sweep", f"seed={seed}"]) for seed in range(3)]
    (place / "sweep.txt").write_text("\n".join(lines) + "\n")
    wrong = []
    for _ in range(2):
        for line in range(1, len(lines) + 1):
            size = {"tasks": 2, "SLURM_ARRAY_TASK_ID": str(line)}
            codes, said = finish(batch("sweep.sbatch", "sweep.txt", cwd=place, **size))
            if any(codes):
                wrong.append(f"sweep {line}: {codes} {said[-500:]}")
    seeds = {p.name: OmegaConf.load(p / "config.yaml").seed for p in place.glob("runs/sweep/*")}
    if seeds != {f"lr-{n + 1}": n for n in range(len(lines))}:
        wrong.append(f"sweep: {seeds}")
    return len(lines), wrong


def multirun(place):
    """Two keys of two values, one of which is refused: the other runs are there."""
    keys = (*RUN, "runs=runs/multi", "seed=0,1", "accumulate=1,5")
    done = start("train", "--multirun", *keys, cwd=place)
    found = {path.name: OmegaConf.load(path / "config.yaml") for path in place.glob("runs/multi/*")}
    made = {name: (cfg.name, cfg.seed) for name, cfg in found.items()}
    right = made == {f"smoke-{i}": (f"smoke-{i}", seed) for i, seed in ((1, 0), (3, 1))}
    if right and done.returncode == 1 and "2 of 4 runs have failed" in done.stderr:
        return []
    return [f"multirun: {made} {done.returncode} {done.stderr[-500:]}"]


def run(most=4):
    """The figures, with at most `most` ranks."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        sizes = ("train=32", "val=2", "novel=2", "samples_per_shard=16")
        succeed("prepare", "import=scenes", "out=data/smoke", *sizes, cwd=place)
        launches, wrong = launch_all(place, most)
        refused, more = refuse_all(place, most)
        swept, still = sweep(place)
        still += multirun(place)
    return {
        "what": "launches",
        "launches": launches,
        "refused": len(refused),
        "slowest_refusal_s": max(refused),
        "swept": swept,
        "wrong": [*wrong, *more, *still],
        "seconds": round(time.perf_counter() - began),
    }


if __name__ == "__main__":
    found = run(*map(int, sys.argv[1:]))
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
