"""What `where` does: scenes, the cells that are missing one after another, and the page."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cloc.cli.config.compose import as_typed
from cloc.cli.launch.cpu import tune_for_cpu
from cloc.cli.matrix.cell import finish, image_size, refuse, scenes_of
from cloc.cli.matrix.plan import Cell, cells, read_cells
from cloc.cli.pages.where import write_where
from cloc.cli.tasks.where_answers import fill_answers
from cloc.errors import UserError
from cloc.scenes.depth.generate import write_scenes

PAGES = ("encoders", "answers")
TWINS = 0.5  # share of scenes with two look-alikes


def fill(cfg: Mapping[str, Any]) -> None:
    """`cfg` is configs/where.yaml, filled in: each of its pages."""
    check(cfg)
    if "encoders" in cfg["pages"]:
        fill_encoders(cfg)
    if "answers" in cfg["pages"]:
        fill_answers(cfg, setting(cfg), TWINS, draw=draw_scenes)


def fill_encoders(cfg: Mapping[str, Any]) -> None:
    """Prints one line for each cell that is done."""
    encodings = {name: cfg["encodings"][name] for name in cfg["chosen"] or cfg["encodings"]}
    words = [image_size(cfg["sizes"][0]), *cfg["words"]]
    planned = cells(cfg["arms"], encodings, cfg["seeds"], words, setting(cfg))
    out, folder = Path(cfg["out"]), Path(cfg["cells"])
    known = read_cells(folder, planned)
    missing = [cell for cell in planned if cell not in known]
    print(f"{len(known)} of {len(planned)} cells are there; {len(missing)} to go", flush=True)
    if missing:
        tune_for_cpu()
        for cell in {(cell.arm, cell.encoding): cell for cell in missing}.values():
            refuse(cell, out / "scenes", out / "runs", cfg["sizes"])
        draw_scenes(cfg, out / "scenes")
    took = 0.0
    for i, cell in enumerate(missing):
        started = time.monotonic()
        finish(cell, out / "scenes", out, folder, cfg["sizes"], tuple(cfg["pairs"]))
        took += time.monotonic() - started
        rest = took / (i + 1) * (len(missing) - i - 1) / 60
        print(f"{cell.name}: {took / (i + 1):.0f} s a cell, {rest:.0f} minutes to go", flush=True)
        show(out, folder, planned)
    show(out, folder, planned)
    print(out / "where.html")


def setting(cfg: Mapping[str, Any]) -> str:
    """What a cell is trained and measured on, in keys of `where`."""
    return " ".join(f"{key}={cfg[key]}" for key in ("train", "val", "sizes", "pairs"))


def check(cfg: Mapping[str, Any]) -> None:
    """What would be found out only later, or would be no table at all."""
    if unknown := set(cfg["pages"]) - set(PAGES):
        raise UserError(f"pages={cfg['pages']}: {min(unknown)} is none of {', '.join(PAGES)}")
    for key in ("arms", "encodings", "seeds", "sizes", "pages"):
        if not cfg[key]:
            raise UserError(f"{key}={cfg[key]}: give one or more; see cloc-pretrain where --help")
    for key in ("train", "val"):
        if cfg[key] < 1:
            raise UserError(f"{key}={cfg[key]}: give 1 or more")
    if len(cfg["pairs"]) != 2 or not all(isinstance(n, int) and n > 0 for n in cfg["pairs"]):
        raise UserError(
            f"pairs={cfg['pairs']}: give two numbers of 1 or more, [50,20]: of each relation, at "
            "the first size and at the others"
        )
    _check_sizes(cfg["sizes"])
    for name in cfg["chosen"] or ():
        if name not in cfg["encodings"]:
            known = ", ".join(cfg["encodings"])
            raise UserError(f"chosen=[{name}]: no such encoding; there are {known}")
    if len(set(cfg["seeds"])) < len(cfg["seeds"]):
        raise UserError(f"seeds={cfg['seeds']}: one of them twice; give each once")


def _check_sizes(sizes: Sequence[Any]) -> None:
    for size in sizes:
        sides = _sides(size)
        if len(sides) not in (1, 2) or not all(isinstance(x, int) and x > 0 for x in sides):
            raise UserError(f"sizes=[{size}]: give pixels, of a square or as [height,width]")


def draw_scenes(cfg: Mapping[str, Any], folder: Path) -> None:
    """Those that are not there: to train on, with plain names and with relational ones beside them,
    and to measure on, at every size."""
    counts = {"train": cfg["train"], "val": 0, "novel": 0}
    size = max(_sides(cfg["sizes"][0]))
    for name, relational in (("plain", 0.0), ("relational", 1.0)):
        if not (folder / name / "train").is_dir():
            write_scenes(
                folder / name,
                **counts,
                size=size,
                twins=TWINS,
                relational=relational,
                keep_names=relational > 0,
            )
    for name, side in {scenes_of(size): max(_sides(size)) for size in cfg["sizes"]}.items():
        if not (folder / name / "val").is_dir():
            write_scenes(folder / name, train=0, val=cfg["val"], novel=0, size=side, twins=TWINS)


def _sides(size: Any) -> list[Any]:
    return size if isinstance(size, list) else [size]


def show(out: Path, folder: Path, planned: Sequence[Cell]) -> None:
    """The page of all that is there."""
    out.mkdir(parents=True, exist_ok=True)
    cure = as_typed("cloc-pretrain where")
    write_where(out / "where.html", planned, read_cells(folder, planned), cure=cure)
