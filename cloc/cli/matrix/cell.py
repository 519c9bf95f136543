"""One cell: a training in a process of its own, and what the trained encoder knows of where and
what, at the size it was trained at and at others."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cloc.cli.build.start import model_settings
from cloc.cli.config.compose import compose_config
from cloc.cli.matrix.plan import Cell
from cloc.data.eval_splits import read_split
from cloc.data.sources.cloc_regions import parse
from cloc.errors import UserError
from cloc.eval.benchmarks.grounding import Grounding
from cloc.eval.benchmarks.image_text_retrieval import ImageTextRetrieval
from cloc.eval.benchmarks.region_classification import RegionClassification
from cloc.eval.benchmarks.spatial_relations import SpatialRelations
from cloc.eval.benchmarks.wherebench import WhereBench
from cloc.eval.benchmarks.wherebench_look_alikes import WhereBenchLookAlikes
from cloc.eval.encoders.encoder import Encoder, open_encoder
from cloc.eval.extractors import roi
from cloc.eval.runner import evaluate
from cloc.models.build import build_model

CPU = torch.device("cpu")
Size = int | Sequence[int]  # pixels, of a square or height and width


def refuse(cell: Cell, data: Path, runs: Path, sizes: Sequence[Size]) -> None:
    """`UserError` for a cell whose model cannot be built, at the size of training or at another."""
    for size in sizes:
        cfg = compose_config("train", [*cell.overrides(data), image_size(size)])
        try:
            with torch.device("meta"):
                build_model(**model_settings(cfg, runs / cell.name, resumed=False))
        except UserError as error:
            raise UserError(f"{cell.name} at {name_of(size)} pixels: {error}") from None


def train(cell: Cell, data: Path, runs: Path, more: Sequence[str] = ()) -> Path:
    """The run, which is told `more` too; one that was stopped goes on."""
    words = [*cell.overrides(data), *more, f"runs={runs}", "resume=auto"]
    done = subprocess.run(
        [sys.executable, "-m", "cloc", "train", *words], stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise UserError(f"the training of {cell.name} has failed; its own message says why")
    return runs / cell.name


def measure(
    run: Path, data: Path, sizes: Sequence[Size], *, pairs: tuple[int, int]
) -> dict[str, Any]:
    """Size -> benchmark -> metric -> value; WhereBench at the first size alone. `pairs` are those
    of each relation, at the first size and at the others."""
    found = {}
    for i, size in enumerate(sizes):
        encoder = _encoder(run, size)
        val = read_split(str(data / scenes_of(size) / "val"), name="val", parse=parse)
        drawn: dict[str, Any] = {"version": 2, "pairs": pairs[i > 0], "size": max(_sides(size))}
        benchmarks: dict[str, Any] = {
            "region_classification": RegionClassification(),
            "grounding": Grounding(),
            "image_text_retrieval": ImageTextRetrieval(),
            "spatial_relations": SpatialRelations(),
            "look_alikes": WhereBenchLookAlikes(**drawn),
        }
        if i == 0:
            benchmarks["wherebench2"] = WhereBench(**drawn)
        asked = encoder.embedder if encoder.has_regions else roi.extractor(encoder.embedder)
        found[name_of(size)] = evaluate(
            {"": asked}, splits=[val], benchmarks=benchmarks, progress=False
        )
    return found


def _encoder(run: Path, size: Size) -> Encoder:
    """Wide pictures are square ones drawn out to the frame: left of stays left of."""
    height, width = _sides(size)
    frame = "own" if height == width else "squash"
    return open_encoder(f"run:{run}", frame=frame, image_size=[height, width], device=CPU)


def _sides(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def image_size(size: Size) -> str:
    """The word of a training at this size."""
    height, width = _sides(size)
    return f"model.tower.image_size=[{height},{width}]"


def name_of(size: Size) -> str:
    """64, or 64x128: height and width."""
    return str(size) if isinstance(size, int) else "x".join(map(str, size))


def scenes_of(size: Size) -> str:
    """The folder of the pictures that are shown at a size: those of its longer side."""
    return f"val{max(_sides(size))}"


def write_cell(
    folder: Path, cell: Cell, figures: Mapping[str, Any], more: Mapping[str, Any] | None = None
) -> None:
    """`more` is told of the cell beside its figures."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "arm": cell.arm,
        "encoding": cell.encoding,
        "seed": cell.seed,
        "recipe": cell.recipe(),
        "sizes": _rounded(figures),
        **(more or {}),
    }
    staged = folder / f"{cell.name}.json.partial"
    staged.write_text(json.dumps(told) + "\n", encoding="utf-8")
    staged.replace(folder / f"{cell.name}.json")


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 5) if isinstance(value, float) else value


def finish(
    cell: Cell, data: Path, out: Path, folder: Path, sizes: Sequence[Size], pairs: tuple[int, int]
) -> None:
    """Trains, measures and writes; the run is removed, its figures stay."""
    run = train(cell, data, out / "runs")
    write_cell(folder, cell, measure(run, data, sizes, pairs=pairs))
    shutil.rmtree(run)
