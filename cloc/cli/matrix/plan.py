"""The cells of the matrix: an objective, an encoding of positions and a seed each."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cloc.cli.config.compose import compose_config, plain
from cloc.data.samples.json_files import read_mapping
from cloc.errors import UserError

# How keys begin of which another value is no other recipe: names, places, what is told on the way.
NO_RECIPE = (
    *("name", "runs", "seed", "logger", "resume", "eval", "benchmarks", "failures", "retention"),
    *("checkpoint", "log_every", "peak_tflops", "data.cache", "data.index_folder"),
    *("data.skip_shards", "data.skip_keys", "data.skips", "data.sources"),
)


@dataclass(frozen=True)
class Cell:
    """`tower` holds keys of `model.tower`, `words` what else the training is told; `setting` says
    what it is trained and measured on, `suspect` what sets its arm apart from the one before."""

    arm: str
    experiment: str
    scenes: str  # their folder in that of all drawn scenes; or folders, joined by +
    encoding: str
    tower: Mapping[str, Any] = field(hash=False)
    seed: int
    words: tuple[str, ...] = ()
    setting: str = ""
    suspect: str = "objective"

    @property
    def name(self) -> str:
        """Of its file and its run."""
        return "-".join(_slug(part) for part in (self.arm, self.encoding, str(self.seed)))

    def overrides(self, data: Path) -> list[str]:
        """Of `cloc-pretrain train`; `data` is the folder of the drawn scenes."""
        folders = [f"{data / one}/train" for one in self.scenes.split("+")]
        return [
            f"experiment={self.experiment}",
            f"name={self.name}",
            f"seed={self.seed}",
            "logger=jsonl",
            f"data.train={folders if len(folders) > 1 else folders[0]}",
            f"eval.splits.val={data}/plain/val",
            *_words("model.tower", self.tower),
            *self.words,
        ]

    def recipe(self) -> dict[str, Any]:
        """Key -> value of all that the training is told but its seed, names and places, and of what
        it is measured on."""
        return {
            **_told(self.experiment, self.words),
            **dict(word.split("=", 1) for word in _words("model.tower", self.tower)),
            "scenes": self.scenes,
            "setting": self.setting,
        }


@cache
def _told(experiment: str, words: tuple[str, ...]) -> dict[str, Any]:
    given = [f"experiment={experiment}", "data.train=SCENES", *words]
    cfg = plain(compose_config("train", given))
    return {key: value for key, value in _flat(cfg) if not key.startswith(NO_RECIPE)}


def _flat(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of every leaf; a list is one."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{at}.{key}".lstrip("."))
    else:
        yield at, value


def cells(
    arms: Mapping[str, Mapping[str, str]],
    encodings: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    words: Sequence[str],
    setting: str = "",
) -> list[Cell]:
    """A seed of all of them before the next seed: a table that was stopped has all its rows."""
    found = [
        Cell(
            *(arm, of["experiment"], of["scenes"], encoding, tower, seed, tuple(words), setting),
            suspect=of["suspect"],
        )
        for seed in seeds
        for encoding, tower in encodings.items()
        for arm, of in arms.items()
    ]
    names = [cell.name for cell in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"two cells are called {twice[0]}; rename one of arms or encodings")
    return found


def read_cells(folder: Path, planned: Sequence[Cell]) -> dict[Cell, dict[str, Any]]:
    """Those that have a file in `folder`. `UserError` for one of another recipe: figures of that
    are no figures of the cell. A key that only one of the two has is no other recipe, so that a
    later option with a value that changes nothing leaves all cells as they are."""
    found = {}
    for cell in planned:
        path = folder / f"{cell.name}.json"
        if not path.is_file():
            continue
        for part in ("recipe", "sizes"):
            found[cell] = read_mapping(path, needs=(part,), cure=f"remove {path}")
        then, now = found[cell]["recipe"], cell.recipe()
        other = [key for key in now if key in then and then[key] != now[key]]
        if other:
            raise UserError(
                f"{path} was measured with {other[0]}={then[other[0]]}, and this is "
                f"{other[0]}={now[other[0]]}; remove it, or give cells= another folder"
            )
    return found


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _words(key: str, values: Mapping[str, Any]) -> list[str]:
    """One of each key of `values`, and of each key of its positions."""
    found = []
    for name, value in values.items():
        if name == "positions":
            found += _words(f"{key}.positions", value)
        else:
            found.append(f"{key}.{name}={_word(value)}")
    return found


def _word(value: Any) -> str:
    """As Hydra reads it."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_word(inner)}" for key, inner in value.items()) + "}"
    return "null" if value is None else str(value)
