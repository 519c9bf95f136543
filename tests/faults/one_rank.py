"""One of two ranks fails or hangs: all of them end soon, not with 0, and the cause is told first.

python -m tests.faults.one_rank [SMALL]     # one line of JSON; any argument: two cases only

An exception and SIGKILL on either rank, under Lightning's launcher and under torchrun; a rank that
sleeps for ever, and one that is frozen by SIGSTOP; a loss that is NaN on one rank.
"""

import json
import re
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers.commands import succeed
from tests.helpers.processes import Run

HANG_S = 10.0
SETTINGS = (
    *("experiment=smoke", "steps=300", "eval.every=0", "data.num_workers=1"),
    *("+trust=[tests.helpers.commands]", f"failures.hang_s={HANG_S}", "+weights.trouble=1.0"),
    *("+losses.trouble._target_=tests.helpers.commands.Trouble", "+losses.trouble.step=3"),
)
RAISES = "error on rank {rank}:.*ValueError: trouble on purpose"
ENDED = "error: rank {rank} was ended by SIGKILL|error: another process .* without a word|Signal 9"
HANGS = (
    r"error: nothing has moved for \d+ s: the others wait for rank {rank}; rank {rank} is in step 3"
)
FROZEN = "error: rank {rank} gives no sign of life any more, its last known step was [12]"
# what, rank, under torchrun, what is told first, seconds until all have ended
CASES = (
    *(("raise", rank, torchrun, RAISES, 10) for torchrun in (False, True) for rank in (1, 0)),
    *(("SIGKILL", 1, torchrun, ENDED, 10) for torchrun in (False, True)),
    ("SIGKILL", 0, False, None, 10),  # the shell says that its command was killed
    ("SIGKILL", 0, True, ENDED, 10),
    *(("sleep", rank, False, HANGS, HANG_S + 15) for rank in (1, 0)),
    ("sleep", 1, True, HANGS, HANG_S + 15),
    ("SIGSTOP", 1, False, FROZEN, HANG_S + 15),
)


def prepare(place):
    sizes = ("train=64", "val=0", "novel=0", "samples_per_shard=16")
    succeed("prepare", "import=scenes", "out=data/smoke", *sizes, cwd=place)


def fail(place, case, *, name, limit_s=None):
    """What went wrong, or None, and how many seconds after its step the run was gone."""
    what, rank, torchrun, first, seconds = case
    trouble = (f"+losses.trouble.what={what}", f"+losses.trouble.rank={rank}", f"name={name}")
    run = Run(place, *SETTINGS, *trouble, ranks=2, torchrun=torchrun)
    run.wait_for_step(2, limit_s=300)
    began = time.monotonic()
    code, _ = run.end(limit_s=120, until_all=True)
    took, said = time.monotonic() - began, run.said()
    found = ["exit code 0"] if code == 0 else []
    found += [f"{took:.1f} s"] if code is None or took > (limit_s or seconds) else []
    if first is not None:
        by_launcher = torchrun and what == "SIGKILL"  # it ends the others before they can say
        found += _told(said, re.compile(first.format(rank=rank), re.DOTALL), by_launcher)
    if found:
        return (
            f"{what} on rank {rank}, torchrun {torchrun}: {', '.join(found)}: {said[-1500:]}",
            took,
        )
    return None, took


def _told(said, first, by_launcher):
    """Once, and in front of everything else that is called an error, but in a launcher's table."""
    match = first.search(said)
    if not match:
        return ["not told"]
    if by_launcher:
        return []
    before = said[: match.start()]
    found = ["told too late"] if re.search("error|Traceback|closed by peer", before) else []
    count = said.count("ValueError: trouble on purpose")
    return found + ([f"told {count} times"] if count > 1 else [])


def not_finite(place, *, name):
    """A NaN on rank 1 alone: skipped by both, its keys written, and the run ends well."""
    trouble = (
        "+losses.trouble.what=not_finite",
        "+losses.trouble.rank=1",
        f"name={name}",
        "steps=6",
    )
    run = Run(place, *SETTINGS, *trouble, ranks=2)
    code, _ = run.end(limit_s=300)
    if code != 0:
        return f"nan: exit code {code}: {run.said()[-1500:]}"
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    skipped = [row["train/skipped_steps"] for row in rows if "train/loss" in row]
    facts = json.loads((run.folder / "nonfinite/step-3.json").read_text())
    right = skipped == [0, 0, 1, 1, 1, 1] and [len(rank["keys"]) for rank in facts["ranks"]] == [
        8,
        8,
    ]
    return None if right else f"nan: {skipped}, {facts}"


def run(cases=CASES, *, limit_s=None):
    """The figures of all cases."""
    began, wrong, took = time.perf_counter(), [], {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        prepare(place)
        for index, case in enumerate(cases):
            fault, seconds = fail(place, case, name=f"run{index}", limit_s=limit_s)
            wrong += [fault] * bool(fault)
            took[case[0]] = max(round(seconds, 1), took.get(case[0], 0))
        fault = not_finite(place, name="skips")
        wrong += [fault] * bool(fault)
    return {
        "what": "one_rank",
        "cases": len(cases) + 1,
        "well": len(cases) + 1 - len(wrong),
        "slowest_s": took,
        "wrong": wrong,
        "seconds": round(time.perf_counter() - began),
    }


if __name__ == "__main__":
    found = run(CASES[:2] if sys.argv[1:] else CASES)
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
