"""How long a command takes to say what it is or what is wrong with it, and what it imports then."""

import re
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from cloc.cli.bench.step import spread

ASKED = {"help": ["--help"], "config": ["--cfg", "job"], "misspelt": ["misspelt_key=1"]}
# Commands, with what a person has typed before; `train` also with the file it takes longest over.
COMMANDS = {
    "train": ["experiment=finetune_clipself"],
    "evaluate": ["run=runs/demo"],
    "export": ["run=runs/demo", "out=x"],
    "prepare": ["import=coco"],
    "show-batch": ["experiment=demo"],
    "bench": [],
    "check-shards": [],
}

TRAIN = "cloc.cli.tasks.train"  # what `train` imports once it is understood
SHOWN = 8


def startup(*, repeat: int) -> dict[str, Any]:
    """Seconds of the whole process, each command once a turn."""
    times: dict[str, dict[str, list[float]]] = {}
    for _ in range(repeat):
        for name, given in COMMANDS.items():
            for what, words in ASKED.items():
                took = times.setdefault(name, {}).setdefault(what, [])
                took.append(_seconds(["-m", "cloc", name, *given, *words]))
    bare = [_seconds(["-c", "pass"]) for _ in range(repeat)]
    found = {
        name: {what: spread(took) for what, took in kinds.items()} for name, kinds in times.items()
    }
    return {"seconds": found, "python_alone": spread(bare), "imports_of_train": imports_of(TRAIN)}


def imports_of(module: str) -> dict[str, float]:
    """Seconds that importing it takes in each package's own files, the `SHOWN` slowest first."""
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took = Counter[str]()
    for own, name in re.findall(
        r"^import time: +(\d+) \| +\d+ \| +(\w+)", done.stderr, re.MULTILINE
    ):
        took[name] += int(own)
    return {name: round(micros / 1e6, 2) for name, micros in took.most_common(SHOWN)}


def _seconds(words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], capture_output=True, check=False)
    return time.perf_counter() - began
