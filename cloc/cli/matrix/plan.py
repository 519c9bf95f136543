"""The cells of the matrix: an objective, an encoding of positions and a seed each."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cloc.cli.config.compose import compose_config, plain
from cloc.data.samples.json_files import read_mapping
from cloc.errors import UserError

# What another value of is no other recipe: names and places.
PLACES = ("name", "runs", "seed", "logger", "resume", "resume_changes", "eval")


@dataclass(frozen=True)
class Cell:
    """`positions` is a value of `model.tower.positions`, `words` what else the training is told."""

    arm: str
    experiment: str
    scenes: str  # the folder of them in that of all drawn scenes
    encoding: str
    positions: Mapping[str, Any] = field(hash=False)
    seed: int
    words: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its file and its run."""
        return "-".join(_slug(part) for part in (self.arm, self.encoding, str(self.seed)))

    def overrides(self, data: Path) -> list[str]:
        """Of `cloc-pretrain train`; `data` is the folder of the drawn scenes."""
        return [
            f"experiment={self.experiment}",
            f"name={self.name}",
            f"seed={self.seed}",
            "logger=jsonl",
            f"data.train={data / self.scenes}/train",
            f"eval.splits.val={data}/plain/val",
            *(f"model.tower.positions.{key}={_word(x)}" for key, x in self.positions.items()),
            *self.words,
        ]

    def recipe(self) -> str:
        """A digest of all that the training is told but its seed, names and places: figures of
        another recipe are no figures of this cell."""
        told = _told(self.experiment, self.words)
        text = json.dumps([told, self.scenes, dict(self.positions)], sort_keys=True, default=str)
        return blake2b(text.encode(), digest_size=8).hexdigest()


@cache
def _told(experiment: str, words: tuple[str, ...]) -> dict[str, Any]:
    given = [f"experiment={experiment}", "data.train=SCENES", *words]
    cfg = plain(compose_config("train", given))
    return {key: value for key, value in cfg.items() if key not in PLACES}


def cells(
    arms: Mapping[str, Mapping[str, str]],
    encodings: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    words: Sequence[str],
) -> list[Cell]:
    """A seed of all of them before the next seed: a table that was stopped has all its rows."""
    found = [
        Cell(arm, of["experiment"], of["scenes"], encoding, positions, seed, tuple(words))
        for seed in seeds
        for encoding, positions in encodings.items()
        for arm, of in arms.items()
    ]
    names = [cell.name for cell in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"two cells are called {twice[0]}; rename one of arms or encodings")
    return found


def read_cells(folder: Path, planned: Sequence[Cell]) -> dict[Cell, dict[str, Any]]:
    """Those that have a file in `folder`. `UserError` for one of another recipe."""
    found = {}
    for cell in planned:
        path = folder / f"{cell.name}.json"
        if not path.is_file():
            continue
        found[cell] = read_mapping(path, needs=("sizes",), cure=f"remove {path}")
        if found[cell].get("recipe") != cell.recipe():
            raise UserError(
                f"{path} was measured by another recipe; remove it, or give cells= another folder"
            )
    return found


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _word(value: Any) -> str:
    """As Hydra reads it."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_word(inner)}" for key, inner in value.items()) + "}"
    return "null" if value is None else str(value)
