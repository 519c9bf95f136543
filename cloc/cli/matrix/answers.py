"""A cell of the second page: a decoder behind an encoder of the first one, with a repair or without
one, and what it answers."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from cloc.cli.matrix.cell import train
from cloc.cli.matrix.plan import Cell
from cloc.data.eval_splits import read_split
from cloc.data.sources.cloc_regions import parse
from cloc.decoder.answerer import Answerer
from cloc.decoder.controls import beside, controls
from cloc.decoder.load import load_answering
from cloc.decoder.question_set import Answer, Put, figures, put
from cloc.decoder.tune import answers, tuned
from cloc.interfaces import Example
from cloc.models.embedder import ModelEmbedder
from cloc.models.load import load_model

BENCHMARK = "answers"
ASKED, PASTED = "asked", "pasted"  # folders of the pictures to ask about, and of PIN's
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


class Shown(NamedTuple):
    """Pictures as an encoder sees them, and what is asked about them."""

    examples: Sequence[Example]
    images: Tensor
    asked: list[Put]


def measure(
    run: Path, start: Path, data: Path, *, questions: int, steers: bool
) -> tuple[dict[str, float], dict[str, Any]]:
    """Figures on the second half of the pictures, `questions` of each kind, and what else is told
    of the run. With `steers` AdaptVis is chosen on the first half, and applied. Beside them stand
    the `controls`, and figures of the boxes that the encoder itself finds, which is the run
    `start`."""
    answerer = Answerer(load_answering(run))
    val = read_split(str(data / ASKED / "val"), name="val", parse=parse)
    half = len(val.examples) // 2
    first, second = (
        _shown(answerer.embedder, examples, questions)
        for examples in (val.examples[:half], val.examples[half:])
    )
    asked = second.asked
    steer = tuned(answerer, answerer.look(first.images), first.asked) if steers else {}
    seen, started = answerer.look(second.images), time.perf_counter()
    said = answers(answerer, seen, asked, steer)
    seconds = time.perf_counter() - started
    found = figures(asked, said)
    found |= controls(answerer, second.images, asked, steer)
    found |= beside("own_head", _grounded(ModelEmbedder(load_model(start)), second))
    told = {
        "questions_per_s": round(len(asked) / seconds, 1),
        "tokens_per_s": round(_tokens(answerer, asked, said) / seconds, 1),
        "steer": {kind: [x.unsure, x.sure, x.threshold] for kind, x in steer.items()},
        "weights": learned(answerer),
    }
    return found, told


def _tokens(answerer: Answerer, asked: Sequence[Put], said: Sequence[Answer]) -> int:
    """That are read and said, the last one of each answer too; not those of pictures."""
    _, valid = answerer.tokens([one.question.asked for one in asked])
    boxes = answerer.boxes
    answers = [boxes.words.encode(x) if isinstance(x, str) else boxes.encode(x) for x in said if x]
    return int(valid.sum()) + sum(map(len, answers)) + len(said)


def learned(answerer: Answerer) -> dict[str, int]:
    """How many weights the parts of the decoder have; a tied table counts once."""
    decoder = answerer.model.decoder
    found = {"decoder": sum(p.numel() for p in decoder.parameters())}
    if decoder.pin is not None:
        found["pin"] = sum(p.numel() for p in decoder.pin.parameters())
    if twins := [p for n, p in decoder.named_parameters() if ".new." in n]:
        found["twin"] = sum(p.numel() for p in twins)
    return found


def _shown(embedder: ModelEmbedder, examples: Sequence[Example], questions: int) -> Shown:
    shown = embedder.prepare([e.image for e in examples], [e.boxes for e in examples])
    boxes = [own[there] for own, there in zip(shown.boxes, shown.valid, strict=True)]
    return Shown(examples, shown.images, put(examples, boxes, most=questions))


def _grounded(embedder: ModelEmbedder, shown: Shown) -> dict[str, float]:
    """Of the questions for a box, answered by the encoder's own head; {} where it has none."""
    wheres = [one for one in shown.asked if one.question.kind == "where"]
    phrases: list[list[str]] = [[] for _ in shown.examples]
    places = []
    for one in wheres:
        places.append(len(phrases[one.picture]))
        phrases[one.picture].append(shown.examples[one.picture].phrases[one.question.region])
    boxes = embedder.ground(shown.images, phrases)
    if boxes is None:
        return {}
    said = [tuple(boxes[one.picture][i].tolist()) for one, i in zip(wheres, places, strict=True)]
    return figures(wheres, said)
