"""A cell of the second page: a decoder behind an encoder of the first one, with a repair or without
one, and what it answers."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloc.cli.matrix.cell import train
from cloc.cli.matrix.plan import Cell
from cloc.data.eval_splits import read_split
from cloc.data.sources.cloc_regions import parse
from cloc.decoder.answerer import Answerer
from cloc.decoder.load import load_answering
from cloc.decoder.question_set import figures, put
from cloc.decoder.tune import answers, tuned
from cloc.models.patch_order import random_order

BENCHMARK = "answers"
ASKED = "asked"  # the folder of the pictures to ask about
BASE = "base"
WORDS = "words.txt"  # of the scenes


def encoder(cell: Cell, data: Path, out: Path) -> Path:
    """The run of the encoder of `cell`, a cell of the first page; trained if it is not there, and
    kept."""
    return train(cell, data, out / "encoders")


def decoder(cell: Cell, start: Path, data: Path, out: Path, *, base: Path | None) -> Path:
    """The run of a decoder behind the encoder `start`; with a `base` that one goes on."""
    more = [f"start=run:{start}", f"decoder.words={data / WORDS}"]
    more += [] if base is None else [f"decoder.start={base}"]
    return train(cell, data, out / "decoders", more)


def measure(
    run: Path, data: Path, *, questions: int, steers: bool
) -> tuple[dict[str, float], dict[str, Any]]:
    """Figures on the second half of the pictures, `questions` of each kind, and what else is told
    of the run. With `steers` AdaptVis is chosen on the first half, and applied."""
    answerer = Answerer(load_answering(run))
    val = read_split(str(data / ASKED / "val"), name="val", parse=parse)
    half = len(val.examples) // 2
    parts = []
    for examples in (val.examples[:half], val.examples[half:]):
        shown = answerer.embedder.prepare([e.image for e in examples], [e.boxes for e in examples])
        boxes = [own[there] for own, there in zip(shown.boxes, shown.valid, strict=True)]
        parts.append((shown.images, put(examples, boxes, most=questions)))
    (first, to_choose), (second, asked) = parts
    steer = tuned(answerer, answerer.look(first), to_choose) if steers else {}
    seen, started = answerer.look(second), time.perf_counter()
    said = answers(answerer, seen, asked, steer)
    seconds = time.perf_counter() - started
    found = figures(asked, said)
    order = random_order(seen.grid, 0)
    shuffled = answers(answerer, answerer.look(second, order=order), asked, steer)
    found |= {f"{name}_permuted": x for name, x in _plain(figures(asked, shuffled)).items()}
    told = {
        "questions_per_s": round(len(asked) / seconds, 1),
        "steer": {kind: [x.unsure, x.sure, x.threshold] for kind, x in steer.items()},
        "weights": learned(answerer),
    }
    return found, told


def learned(answerer: Answerer) -> dict[str, int]:
    """How many weights the parts of the decoder have; a tied table counts once."""
    decoder = answerer.model.decoder
    found = {"decoder": sum(p.numel() for p in decoder.parameters())}
    if decoder.pin is not None:
        found["pin"] = sum(p.numel() for p in decoder.pin.parameters())
    if twins := [p for n, p in decoder.named_parameters() if ".new." in n]:
        found["twin"] = sum(p.numel() for p in twins)
    return found


def _plain(found: Mapping[str, float]) -> dict[str, float]:
    """Without the lines beside them."""
    return {k: x for k, x in found.items() if not k.endswith(("_chance", "_box"))}
