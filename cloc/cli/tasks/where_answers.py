"""What `where` does for its second page: decoders behind its encoders, with repairs and without."""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cloc.cli.config.compose import as_typed
from cloc.cli.launch.cpu import tune_for_cpu
from cloc.cli.matrix.answers import ASKED, BENCHMARK, PASTED, WORDS, decoder, encoder, measure
from cloc.cli.matrix.cell import image_size, name_of, write_cell
from cloc.cli.matrix.plan import Cell, cells, read_cells
from cloc.cli.pages.where_answers import write_answers
from cloc.data.eval_splits import read_split
from cloc.data.sources.cloc_regions import parse
from cloc.errors import UserError
from cloc.scenes.depth.generate import write_scenes
from data_prep.importers.pasted import write_pasted

Draw = Callable[[Mapping[str, Any], Path], None]
Beside = Mapping[tuple[str, int, str], Cell]  # by arm, seed and repair
SIZES = [[0.15, 0.5], [0.15, 0.4], [0.1, 0.35]]  # of one pasted thing, of each of two, of three


def fill_answers(cfg: Mapping[str, Any], setting: str, twins: float, *, draw: Draw) -> None:
    """`cfg` is configs/where.yaml, filled in; `setting` is what its cells are trained on. Prints a
    line for each cell that is done. `draw` draws the scenes that are not there."""
    planned = planned_answers(cfg, setting)
    encoders = {(x.arm, x.seed): x for x in _encoders(cfg, setting)}
    beside = {(x.arm, x.seed, x.encoding): x for x in planned}
    out, folder = Path(cfg["out"]), Path(cfg["cells"]) / BENCHMARK
    known = read_cells(folder, planned)
    missing = [cell for cell in planned if cell not in known]
    print(f"{len(known)} of {len(planned)} answers are there; {len(missing)} to go", flush=True)
    if missing:
        tune_for_cpu()
        draw(cfg, out / "scenes")
        draw_asked(cfg, out / "scenes", twins)
    for cell in missing:
        started = time.monotonic()
        seen = encoders[cell.arm, cell.seed]
        found, told = _figures(cell, cfg["answers"], out, seen=seen, beside=beside)
        write_cell(folder, cell, {name_of(cfg["sizes"][0]): {BENCHMARK: found}}, told)
        print(f"{cell.name}: {time.monotonic() - started:.0f} s", flush=True)
        _show(out, folder, planned, cfg["answers"]["repairs"])
    _show(out, folder, planned, cfg["answers"]["repairs"])
    print(out / "answers.html")


def planned_answers(cfg: Mapping[str, Any], setting: str) -> list[Cell]:
    """A repair stands where an encoding does; the base comes first."""
    own = cfg["answers"]
    if own["encoding"] not in cfg["encodings"]:
        raise UserError(f"answers.encoding={own['encoding']}: no such encoding; see encodings")
    unknown = [arm for arm in own["arms"] if arm not in cfg["arms"]]
    if unknown:
        raise UserError(f"answers.arms: no arm is called {unknown[0]}; see arms")
    for name, repair in own["repairs"].items():
        if repair["of"] is not None and repair["of"] not in own["repairs"]:
            raise UserError(f"answers.repairs.{name}.of={repair['of']}: no such repair")
    arm = {"experiment": own["experiment"], "scenes": "relational", "suspect": "encoder"}
    found = []
    for cell in cells(
        dict.fromkeys(own["arms"], arm),
        {name: {} for name in own["repairs"]},
        cfg["seeds"],
        [image_size(cfg["sizes"][0]), *own["words"]],
        f"{setting} questions={own['questions']} encoding={own['encoding']}",
    ):
        repair = own["repairs"][cell.encoding]
        words = (*cell.words, *repair["words"])
        found.append(replace(cell, words=words, scenes=repair["scenes"]))
    return found


def _figures(
    cell: Cell, own: Mapping[str, Any], out: Path, *, seen: Cell, beside: Beside
) -> tuple[dict[str, float], dict[str, Any]]:
    """As `measure` gives them; what is missing is trained, and a run that others go on from stays.
    `own` is cfg.answers, `seen` the cell of its encoder, `beside` all cells."""
    repairs, data = own["repairs"], out / "scenes"
    start = encoder(seen, data, out)

    def run_of(one: Cell) -> Path:
        of = repairs[one.encoding]["of"]
        if of is None:
            return decoder(one, start, data, out, base=None)
        goes_on = beside[one.arm, one.seed, of]
        if (one.words, one.scenes) == (goes_on.words, goes_on.scenes):
            return run_of(goes_on)  # it learns nothing more
        return decoder(one, start, data, out, base=run_of(goes_on))

    run = run_of(cell)
    steers = repairs[cell.encoding]["steers"]
    found = measure(run, start, data, questions=own["questions"], steers=steers)
    if run.name == cell.name and cell.encoding not in {x["of"] for x in repairs.values()}:
        shutil.rmtree(run)
    return found


def _encoders(cfg: Mapping[str, Any], setting: str) -> list[Cell]:
    """Those of the first page, as it trains them."""
    encoding = cfg["answers"]["encoding"]
    own = {encoding: cfg["encodings"][encoding]}
    words = [image_size(cfg["sizes"][0]), *cfg["words"]]
    return cells(cfg["arms"], own, cfg["seeds"], words, setting)


def draw_asked(cfg: Mapping[str, Any], folder: Path, twins: float) -> None:
    """The pictures to ask about, with relations beside names, pasted things, and the words of those
    to learn from, if they are not there."""
    size = cfg["sizes"][0]
    side = size if isinstance(size, int) else max(size)
    if not (folder / ASKED / "val").is_dir():
        write_scenes(
            folder / ASKED,
            **{"train": 0, "val": 2 * cfg["val"], "novel": 0},
            size=side,
            twins=twins,
            relational=1.0,
            keep_names=True,
        )
    if not (folder / PASTED / "train").is_dir():
        shards = sorted((folder / "relational" / "train").glob("*.tar"))
        write_pasted(
            folder / PASTED,
            objects=str(shards[0]),
            backgrounds=str(shards[-1]),  # of what is not in a scene: on noise a thing is lost
            count=cfg["train"],
            sizes=SIZES,
            size=side,
            val=0.0,
        )
    if not (folder / WORDS).is_file():
        (folder / WORDS).write_text("\n".join(_words(folder)) + "\n", encoding="utf-8")


def _words(folder: Path) -> list[str]:
    """That names and relations are made of."""
    found = set[str]()
    for name, split in (("relational", "train"), (ASKED, "val")):
        for example in read_split(str(folder / name / split), name=split, parse=parse).examples:
            for phrase, negatives in zip(example.phrases, example.negatives, strict=True):
                found.update(word for text in (phrase, *negatives) for word in text.split())
    return sorted(found)


def _show(
    out: Path, folder: Path, planned: list[Cell], repairs: Mapping[str, Mapping[str, Any]]
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    known = read_cells(folder, planned)
    of = {name: repair["of"] for name, repair in repairs.items()}
    cure = as_typed("cloc-pretrain where pages=[answers]")
    write_answers(out / "answers.html", planned, known, repairs=of, cure=cure)
