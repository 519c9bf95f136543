"""What `demo` does: the other commands one after another, and pictures of what the model finds."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cloc.checkpoints.folder import MODEL, newest
from cloc.checkpoints.locations import place_of
from cloc.cli.launch.cpu import multiplies_bf16
from cloc.cli.main import COMMANDS
from cloc.data.eval_splits import read_split
from cloc.data.samples.json_files import read_rows
from cloc.data.sources.cloc_regions import parse
from cloc.drawing import colour, contact_sheet, draw_boxes
from cloc.errors import PREEMPTED, SIGNALS, UserError
from cloc.models.load import load
from cloc.models.show import found_boxes
from cloc.terminal import shows_bars

RUN, TWIN, SCENES = Path("runs/demo"), Path("runs/demo_clip"), Path("data/scenes")
SHOWN = 6  # scenes of a picture
SAY_S = 60.0  # between two lines about a training
LOOK_S = 1.0


class Part(NamedTuple):
    """A command of the demo."""

    name: str
    times: tuple[float, float]  # minutes on two cores that have products of bf16, and without
    words: tuple[str, ...]
    trains: Path | None = None  # the run that it writes, in a process of its own
    makes: Path | None = None  # a file of a run; one newer than the run's weights is kept

    @property
    def minutes(self) -> float:
        return self.times[0 if multiplies_bf16() else 1]


PARTS = (
    Part(
        "20,000 scenes", (0.4, 0.6), ("prepare", "import=scenes", f"out={SCENES}", "if_exists=skip")
    ),
    Part("training of CLOC", (5.3, 11.5), ("train", "experiment=demo", "resume=auto"), trains=RUN),
    Part(
        "training of its CLIP twin",
        (4.7, 9.5),
        ("train", "experiment=demo_clip", "resume=auto"),
        trains=TWIN,
    ),
    Part(
        "measuring the twin", (0.5, 1.2), ("evaluate", f"run={TWIN}"), makes=TWIN / "metrics.json"
    ),
    Part(
        "measuring CLOC",
        (0.6, 1.3),
        ("evaluate", f"run={RUN}", f"twin={TWIN}"),
        makes=RUN / "report.html",
    ),
    Part(
        "export for open_clip",
        (0.1, 0.3),
        ("export", f"run={RUN}", "format=open_clip", f"out={RUN}/open_clip"),
        makes=RUN / "open_clip/parity.json",
    ),
)


def run_all(parts: Sequence[Part]) -> None:
    """In order, saying what is to come; `UserError` for a part that failed."""
    began, expected, took = time.monotonic(), 0.0, 0.0
    print(f"{len(parts)} parts, about {_minutes(sum(p.minutes for p in parts))} on two cores")
    print("stopped, the same command goes on")
    for i, part in enumerate(parts):
        slower = took / expected if expected else 1.0
        rest = sum(p.minutes for p in parts[i:]) * slower
        print(f"\n{i + 1}/{len(parts)} {part.name}; about {_minutes(rest)} to go", flush=True)
        started = time.monotonic()
        _do(part)
        minutes = (time.monotonic() - started) / 60
        if minutes > part.minutes / 4:  # one that was there already says nothing of this machine
            expected, took = expected + part.minutes, took + minutes
    draw(RUN, RUN / "found_boxes.png")
    import_module(COMMANDS["compare-runs"][0]).main([str(RUN), str(TWIN)])
    total = (time.monotonic() - began) / 60
    print(f"{RUN / 'found_boxes.png'} shows what it finds; {_minutes(total)} in all")


def _do(part: Part) -> None:
    """A training in a process of its own, the others in this one, which has imported everything."""
    if part.trains is not None:
        _train(part.words, part.trains)
    elif part.makes is not None and _is_current(part.makes):
        print(f"{part.makes} is there")
    else:
        if part.words[0] == "export" and part.makes is not None:
            shutil.rmtree(part.makes.parent, ignore_errors=True)  # of earlier weights
        with redirect_stdout(StringIO() if part.makes else sys.stdout):  # one table, at the end
            import_module(COMMANDS[part.words[0]][0]).main(list(part.words[1:]))


def _is_current(path: Path) -> bool:
    weights = sorted((RUN if RUN in path.parents else TWIN).glob("checkpoints/step-*"))
    return path.is_file() and bool(weights) and path.stat().st_mtime > weights[-1].stat().st_mtime


def _train(words: Sequence[str], run: Path) -> None:
    """Beside it the first picture is drawn, and where no bar shows, a line said every minute."""
    process = subprocess.Popen([sys.executable, "-m", "cloc", *words])
    said = time.monotonic()
    with _signals_to(process):
        while process.poll() is None:
            time.sleep(LOOK_S)
            first = run / "first_boxes.png"
            if run == RUN and not first.exists() and newest(place_of(run), MODEL)[0]:
                draw(run, first)
                print(f"\nthe first picture of found boxes: {first}", flush=True)
            if not shows_bars() and time.monotonic() - said > SAY_S:
                said = time.monotonic()
                print(_how_far(run), flush=True)
    if process.returncode == PREEMPTED:
        sys.exit(PREEMPTED)
    if process.returncode:
        raise UserError(f"{' '.join(words)} has failed; its own message says why")


@contextmanager
def _signals_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """They are the training's to heed, which then saves; it gets Ctrl-C from the terminal too."""
    before = {
        number: signal.signal(number, lambda number, _: process.send_signal(number))
        for number in SIGNALS
    }
    try:
        yield
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt):
            process.terminate()
        raise
    finally:
        process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def _how_far(run: Path) -> str:
    rows = read_rows(run / "metrics.jsonl") if (run / "metrics.jsonl").is_file() else []
    steps = [row["step"] for row in rows if "step" in row]
    return f"{run.name}: step {steps[-1] + 1 if steps else 0}"


def draw(run: Path, out: Path) -> None:
    """Scenes of the val split with the boxes that the run's newest weights find for their phrases,
    named; the true ones are dashed."""
    embedder = load(run)
    split = read_split(str(SCENES / "val"), name="val", parse=parse, limit=SHOWN)
    panels = []
    for example in split.examples:
        phrases = list(dict.fromkeys(example.phrases))
        found = found_boxes(embedder, example.image, phrases)
        assert found is not None  # the demo has a box head
        colours = [colour(i) for i in range(len(phrases))]
        of_true = [colours[phrases.index(phrase)] for phrase in example.phrases]
        panels.append(
            draw_boxes(
                example.image,
                np.concatenate([example.boxes, found]),
                [""] * len(example.boxes) + phrases,
                of_true + colours,
                dashed=[True] * len(example.boxes) + [False] * len(found),
            )
        )
    staged = out.with_suffix(".partial.png")
    contact_sheet(panels, 3).save(staged, "PNG")
    staged.replace(out)


def _minutes(value: float) -> str:
    return f"{value:.0f} minutes" if value >= 1.5 else f"{max(value * 60, 1):.0f} seconds"
